"""Writes an exported graph in one of the dtypes that the hub names by file suffix.

    python training/published/dtypes.py --folder DIR --dtype fp16 int8 q4

adds them to a folder in the hub's layout, beside its float32 graphs.
"""

import argparse
import logging
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx.numpy_helper import to_array
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from onnxruntime.transformers.optimizer import optimize_model

# The last four suffixes are ours, for tests: on the hub neither external data nor fusion shows in the name.
DTYPES = {
    "fp32": "",
    "fp16": "_fp16",
    "int8": "_int8",
    "q4": "_q4",
    "q4f16": "_q4f16",
    "external": "_external",
    "fused": "_fused",
    "optimized": "_optimized",
    "extended": "_extended",
}
logging.disable(logging.WARNING)  # the quantizers write a line a node
MAX_INLINE_BYTES = 1.9e9  # protobuf ends at 2 GB
Q4_BLOCK = 32


def write_dtype(source: Path, folder: Path, dtype: str) -> Path:
    """`source`: the float32 graph, its weights inside or beside it. Returns the file in `folder`."""
    model = CONVERTERS[dtype](source)
    path = folder / f"{source.stem}{DTYPES[dtype]}.onnx"
    save(model, path, external=dtype == "external")
    return path


def save(model: onnx.ModelProto, path: Path, external: bool = False) -> None:
    data = path.with_name(f"{path.name}_data")
    data.unlink(missing_ok=True)
    if external or weight_bytes(model) > MAX_INLINE_BYTES:
        onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
    else:
        onnx.save(model, path)
    onnx.checker.check_model(str(path))


def weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def to_fp16(source: Path) -> onnx.ModelProto:
    """Inputs and outputs too. Rotary angles stay in float32: float16 cannot tell position 2049 from 2048."""
    typed = source.with_name(f"{source.stem}_typed.onnx")
    onnx.shape_inference.infer_shapes_path(source, typed)  # by path: in memory it ends at protobuf's 2 GB
    model = onnx.load(typed)
    rotary = [node.name for node in model.graph.node if "rotary_emb" in node.name]
    half = convert_float_to_float16(model, keep_io_types=False, node_block_list=rotary, disable_shape_infer=True)
    mend_casts(half.graph)
    return half


def mend_casts(graph: onnx.GraphProto) -> None:
    """The converter puts casts around blocked nodes at the end of the graph, and some of them twice."""
    seen = set()
    for node in [node for node in graph.node if node.op_type == "Cast"]:
        if node.output[0] in seen:
            graph.node.remove(node)
        seen.add(node.output[0])
    OnnxModel.graph_topological_sort(graph)


def to_int8(source: Path) -> onnx.ModelProto:
    """Dynamic: MatMul by weights and the embedding. Conv stays: the CPU provider has no ConvInteger with int8 weights."""
    target = source.with_name(f"{source.stem}_quantized.onnx")
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Gather", "Gemm"],
        weight_type=QuantType.QInt8,
        use_external_data_format=weight_bytes(onnx.load(source)) > MAX_INLINE_BYTES,
    )
    return onnx.load(target)


def to_q4(source: Path) -> onnx.ModelProto:
    """Every MatMul by weights becomes MatMulNBits; the rest, the embedding too, stays in float32."""
    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=4, block_size=Q4_BLOCK, is_symmetric=True)
    quantizer.process()
    return quantizer.model.model


def to_q4f16(source: Path) -> onnx.ModelProto:
    """MatMulNBits, and the rest in float16."""
    quantized = source.with_name(f"{source.stem}_quantized.onnx")
    save(to_q4(source), quantized)
    return to_fp16(quantized)


def to_fused(source: Path) -> onnx.ModelProto:
    """Attention of the tower as com.microsoft's MultiHeadAttention."""
    return fuse_attention(onnx.load(source))


def to_optimized(source: Path) -> onnx.ModelProto:
    """onnxruntime's own fusions too: SkipLayerNormalization, QuickGelu, BiasGelu. Its fusion of attention wants the
    scale on the query; transformers 5 puts it on Q · Kᵀ: hence `fuse_attention`."""
    return fuse_attention(optimize_model(str(source), "vit", opt_level=0).model)


def to_extended(source: Path) -> onnx.ModelProto:
    """What onnxruntime runs itself: FusedMatMul (scale and transposition inside), QuickGelu, BiasGelu, constants folded."""
    target = source.with_name(f"{source.stem}_quantized.onnx")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return onnx.load(target)


def fuse_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """Transpose(Reshape(x)) of q, k and v -> MatMul, Mul, Softmax, MatMul -> Transpose, Reshape: one node instead."""
    fused = OnnxModel(model)
    makers, users = fused.output_name_to_node(), fused.input_name_to_nodes()
    weights = {node.output[0]: node.attribute[0].t for node in fused.get_nodes_by_op_type("Constant")}
    for softmax in fused.get_nodes_by_op_type("Softmax"):
        scaled = makers[softmax.input[0]]
        product = makers[scaled.input[0]]
        mixed = users[softmax.output[0]][0]
        while mixed.op_type == "Cast":
            mixed = users[mixed.output[0]][0]
        out = users[users[mixed.output[0]][0].output[0]][0]
        rows = [makers[makers[name].input[0]].input[0] for name in (*product.input, mixed.input[1])]
        head_dim = int(to_array(weights[makers[makers[makers[product.input[0]].input[0]].input[1]].input[3]])[0])
        width = fused.get_initializer(users[out.output[0]][0].input[1]).dims[0]
        scale = float(to_array(weights[scaled.input[1]]))
        node = onnx.helper.make_node(
            "MultiHeadAttention", rows, out.output, name=f"{softmax.name}_fused", domain="com.microsoft"
        )
        node.attribute.extend(
            [onnx.helper.make_attribute("num_heads", width // head_dim), onnx.helper.make_attribute("scale", scale)]
        )
        fused.remove_node(out)
        fused.add_node(node)
    fused.prune_graph()
    OnnxModel.graph_topological_sort(model.graph)
    if all(opset.domain != "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return model


CONVERTERS = {
    "fp32": onnx.load,
    "fp16": to_fp16,
    "int8": to_int8,
    "q4": to_q4,
    "q4f16": to_q4f16,
    "external": onnx.load,
    "fused": to_fused,
    "optimized": to_optimized,
    "extended": to_extended,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), required=True)
    args = parser.parse_args()
    folder = Path(args.folder) / "onnx"
    for name in ("vision_encoder", "embed_tokens", "decoder_model_merged"):
        for dtype in args.dtype:
            path = write_dtype(folder / f"{name}.onnx", folder, dtype)
            print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")
    remove_scratch(folder)


def remove_scratch(folder: Path) -> None:
    """What the converters leave beside their source."""
    for pattern in ("*_quantized.onnx", "*_typed.onnx"):
        for path in folder.glob(pattern):
            path.unlink()


if __name__ == "__main__":
    main()
