"""The same model in graphs that other tools write: of other operators, with other inputs, or with branches."""

import copy
import shutil
import tempfile
from pathlib import Path
from types import MethodType

import numpy as np
import onnx
import torch
from layout import WRITERS, DecoderGraph, vision_tower, write_decoder, write_graph, write_vision_encoder
from onnx.numpy_helper import from_array, to_array
from onnxruntime.transformers.optimizer import optimize_model
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedModel

LEAST_BYTES = 256
POSITIONS = 256  # as many as the answers of the fixtures need
HEAD_WIDTH = 16  # GroupQueryAttention wants a multiple of 8

# Graphs, the names of the files that their weights lie in, and what those files are: a graph takes the place of the
# float32 or float16 one, which becomes its data. q4f16's are themselves.
SHARED = [
    ("vision_encoder_extended.onnx", ["vision_encoder.onnx_data"], ["vision_encoder.onnx"]),
    ("vision_encoder_older.onnx", ["vision_encoder.onnx_data"], ["vision_encoder.onnx"]),
    ("vision_encoder_packed.onnx", ["vision_encoder.onnx_data"], ["vision_encoder.onnx"]),
    ("decoder_model_merged_branches.onnx", ["decoder_model_merged.onnx_data"], ["decoder_model_merged.onnx"]),
    (
        "decoder_model_merged_group_query.onnx",
        ["decoder_model_merged_fp16.onnx_data"],
        ["decoder_model_merged_fp16.onnx"],
    ),
    *(
        (f"{part}_q4f16.onnx", [f"{part}_q4.onnx", f"{part}_fp16.onnx"], [f"{part}_q4.onnx", f"{part}_fp16.onnx"])
        for part in WRITERS
    ),
]


def write_other_graphs(model: PreTrainedModel, folder: Path) -> None:
    """LLaVA's. What they share with files that are there is left out: those lie beside them, as data, when they run."""
    write_older(model, folder / "vision_encoder_older.onnx")
    write_packed(folder / "vision_encoder.onnx", folder / "vision_encoder_packed.onnx")
    write_branches(model, folder / "decoder_model_merged_branches.onnx")
    write_group_query(model, folder / "decoder_model_merged_group_query.onnx")
    for name, data, holders in SHARED:
        share_weights(folder / name, {place: folder / held for place, held in zip(data, holders)})
        print(f"  {name}: {(folder / name).stat().st_size / 1e3:.0f} kB")


def write_packed(source: Path, path: Path) -> None:
    """com.microsoft's Attention: the weights of queries, keys and values in one."""
    optimized = optimize_model(str(source), model_type="clip", num_heads=4, hidden_size=32, opt_level=0)
    assert optimized.get_nodes_by_op_type("Attention")
    onnx.save(optimized.model, path)


def write_older(model: PreTrainedModel, path: Path) -> None:
    """A tower as transformers before 4.48 had it: attention (B · heads, N, N). Its linear layers become Gemm."""
    model = copy.deepcopy(model)
    for part in (vision_tower(model), model.model.multi_modal_projector):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                module.turned = nn.Parameter(module.weight.t().contiguous())
                module.forward = MethodType(multiply_rows, module)
            if type(module).__name__ == "CLIPAttention":
                module.forward = MethodType(attend_in_batches, module)
    write_vision_encoder(model, path)


def multiply_rows(linear: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """x (B, N, D) as (B · N, D) and back."""
    rows = torch.addmm(linear.bias, x.flatten(0, 1), linear.turned)
    return rows.reshape(-1, int(x.shape[1]), linear.out_features)


def attend_in_batches(attention: nn.Module, hidden_states: torch.Tensor, *_, **__) -> tuple[torch.Tensor, None]:
    """hidden_states (B, N, D); the scale is on the query."""
    _, N, D = map(int, hidden_states.shape)
    h = attention.num_heads

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, N, h, D // h).transpose(1, 2).reshape(-1, N, D // h)

    q = split(attention.q_proj(hidden_states) * attention.scale)
    k, v = split(attention.k_proj(hidden_states)), split(attention.v_proj(hidden_states))
    mixed = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)  # (B · h, N, d)
    return attention.out_proj(mixed.view(-1, h, N, D // h).transpose(1, 2).reshape(-1, N, D)), None


class PromptGraph(DecoderGraph):
    """The decoder without a past."""

    def forward(self, inputs_embeds, attention_mask, position_ids):
        return super().forward(inputs_embeds, attention_mask, position_ids)


def write_branches(model: PreTrainedModel, path: Path) -> None:
    """A decoder without and one with past, which optimum puts into the branches of an `If`."""
    from optimum.onnx.graph_transformations import merge_decoders

    with tempfile.TemporaryDirectory() as folder:
        prompt, step = Path(folder) / "prompt.onnx", Path(folder) / "step.onnx"
        write_prompt_decoder(model, prompt)
        write_decoder(model, step)
        merge_decoders(prompt, step, save_path=path)


def write_prompt_decoder(model: PreTrainedModel, path: Path) -> None:
    S, c = 3, model.config.get_text_config()
    inputs = {
        "inputs_embeds": torch.randn(2, S, c.hidden_size),
        "attention_mask": torch.ones(2, S).long(),
        "position_ids": torch.arange(S).expand(2, S),
    }
    present = [f"present.{i}.{part}" for i in range(c.num_hidden_layers) for part in ("key", "value")]
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in (*inputs, "logits")}
    axes |= {name: {0: "batch_size", 2: "total_sequence_length"} for name in present}
    write_graph(PromptGraph(model), path, inputs, ["logits", *present], axes)


def write_group_query(model: PreTrainedModel, path: Path) -> None:
    """
    A float16 decoder by onnxruntime-genai: GroupQueryAttention with the rotation inside, SkipSimplifiedLayerNormalization,
    no position_ids, and a cache whose width has but a name. Heads of another width hold zeros, so that the answers stay.
    """
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    with tempfile.TemporaryDirectory() as folder:
        source, out = f"{folder}/source", f"{folder}/out"
        widened(model).half().save_pretrained(source)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(path.parents[1] / name, source)
        where = (None, source, out, "fp16", "cuda", f"{folder}/cache")
        create_model(*where, **parse_extra_options(*where, ["exclude_embeds=true"]))
        graph = onnx.load(f"{out}/model.onnx")
    restore_rotation(graph.graph, model.config.get_text_config())
    onnx.save(graph, path)


def widened(model: PreTrainedModel) -> LlamaForCausalLM:
    """The language model with heads of HEAD_WIDTH, each half of which begins with half of the true head."""
    config = copy.deepcopy(model.config.get_text_config())
    heads, width = config.num_attention_heads, config.head_dim
    config.head_dim = HEAD_WIDTH
    half = torch.arange(width // 2)
    slots = torch.cat([half, half + HEAD_WIDTH // 2])

    def widen(weight: torch.Tensor, axis: int) -> torch.Tensor:
        split = weight.unflatten(axis, (heads, width)).movedim(axis + 1, 0)
        wide = torch.zeros(HEAD_WIDTH, *split.shape[1:])
        wide[slots] = split
        return wide.movedim(0, axis + 1).flatten(axis, axis + 1)

    state = model.model.language_model.state_dict()
    for name, weight in state.items():
        if any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            state[name] = widen(weight, 0)
        if "o_proj" in name:
            state[name] = widen(weight, 1)
    wide = LlamaForCausalLM(config)
    wide.model.load_state_dict(state)
    wide.lm_head.load_state_dict(model.lm_head.state_dict())
    return wide


def restore_rotation(graph: onnx.GraphProto, config) -> None:
    """The angles and the scale of the true width."""
    width = config.head_dim
    speeds = config.rope_parameters["rope_theta"] ** -(np.arange(0, width, 2) / width)
    angles = np.arange(POSITIONS)[:, None] * np.pad(speeds, (0, (HEAD_WIDTH - width) // 2))
    for name, table in (("cos_cache", np.cos(angles)), ("sin_cache", np.sin(angles))):
        (tensor,) = (one for one in graph.initializer if one.name == name)
        tensor.CopyFrom(from_array(table.astype(to_array(tensor).dtype), name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "GroupQueryAttention" and attribute.name == "scale":
                attribute.f = width**-0.5


def share_weights(path: Path, places: dict[str, Path]) -> None:
    """Leaves out what other files hold, `places` by the names under which they will lie beside `path`."""
    model = onnx.load(path)
    held = {name: file.read_bytes() for name, file in places.items()}
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        name = next((name for name, data in held.items() if len(raw) >= LEAST_BYTES and raw in data), None)
        if name is None:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", held[name].index(raw)), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(model.SerializeToString())
