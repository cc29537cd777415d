"""
The language side of a model folder as export.py wrote it, back from its graphs: the decoder as transformers'
LlamaForCausalLM, and both projectors. So training can go on, and reference figures be made, without the checkpoints.

As a command it loads a folder and says how far the logits and the projectors are from ONNX Runtime's:
  python training/load_nano.py --model models/nano
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from decoder import Projector
from onnx import numpy_helper
from transformers import CLIPVisionModel, LlamaConfig, LlamaForCausalLM, LlavaConfig

TOLERANCE = 1e-3
# Of one block, in the order of the graph's products with a weight.
PRODUCTS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def load_language(folder: str | Path) -> tuple[LlamaForCausalLM, Projector, Projector]:
    """
    Decoder, projector of all tokens, projector tuned on compressed ones (a copy of the first where the folder has
    none); in evaluation mode, float32. Throws an AssertionError where they compute anything else than the graphs.
    """
    folder = Path(folder)
    files = json.loads((folder / "visionzip.json").read_text())["files"]
    model = load_decoder(folder / files["decoder"], folder / files["embedTokens"], folder)
    projector = load_projector(folder / files["projector"])
    tuned = load_projector(folder / files["projectorTuned"]) if "projectorTuned" in files else copy.deepcopy(projector)
    error = logits_error(model, folder / files["decoder"])
    assert error <= TOLERANCE, f"logits are off by {error:.1e}, at most {TOLERANCE:.0e} was expected"
    return model, projector, tuned


def load_decoder(decoder: Path, embed_tokens: Path, folder: Path) -> LlamaForCausalLM:
    text: LlamaConfig = LlavaConfig.from_pretrained(folder).text_config
    text._attn_implementation = "eager"
    model = LlamaForCausalLM(text).float().eval()
    state = decoder_state(onnx.load(decoder).graph, text.num_hidden_layers)
    state["model.embed_tokens.weight"] = weights_of(onnx.load(embed_tokens).graph)["weight"]
    model.load_state_dict(state)  # strict: every weight, of the right shape
    return model


def decoder_state(graph: onnx.GraphProto, layers: int) -> dict[str, torch.Tensor]:
    """
    The norms kept their names. A Linear became a product with its transposed weight under a name of the exporter's:
    its node, `/q_proj_1/MatMul`, says what it is, and its place in the graph of which block.
    """
    weights = weights_of(graph)
    state = {name.removeprefix("model."): w for name, w in weights.items() if name.endswith("norm.weight")}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    names = [f"model.layers.{i}.{product}" for i in range(layers) for product in PRODUCTS] + ["lm_head"]
    assert len(products) == len(names), f"{len(names)} products with a weight expected, {len(products)} in the graph"
    for name, node in zip(names, products):
        kind = name.rsplit(".", 1)[-1]
        assert node.name.startswith(f"/{kind}"), f"{name} expected, {node.name} in the graph"
        state[f"{name}.weight"] = weights[node.input[1]].T.contiguous()
    return state


def load_tower(folder: str | Path) -> CLIPVisionModel:
    """
    transformers' tower; its blocks behind the selected one, which the graph has not got, at random weights. Linear layers
    are products with a transposed weight, whose node names the layer: `/layers.0/mlp/fc1/MatMul`.
    """
    folder = Path(folder)
    tower = CLIPVisionModel(LlavaConfig.from_pretrained(folder).vision_config).float().eval()
    tower.set_attn_implementation("eager")
    graph = onnx.load(folder / json.loads((folder / "visionzip.json").read_text())["files"]["visionTower"]).graph
    weights = weights_of(graph)
    state = {name.removeprefix("tower."): w for name, w in weights.items() if name.startswith("tower.")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            layer = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            state[f"encoder.{layer}.weight"] = weights[node.input[1]].T.contiguous()
    missing = [name for name in tower.load_state_dict(state, strict=False).missing_keys if "post_layernorm" not in name]
    left = f"encoder.layers.{tower.config.num_hidden_layers - 1}."
    strange = [name for name in missing if not name.startswith(left)]
    assert not strange, f"the graph lacks {strange}"
    return tower


def load_projector(path: Path) -> Projector:
    state = weights_of(onnx.load(path).graph)
    H, D = state["linear_1.weight"].shape
    projector = Projector(D, H).eval()
    projector.load_state_dict(state)
    return projector


def weights_of(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """The float32 initializers by name."""
    return {
        t.name: torch.from_numpy(numpy_helper.to_array(t).copy())
        for t in graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT
    }


@torch.no_grad()
def logits_error(model: LlamaForCausalLM, decoder: Path, S: int = 60) -> float:
    """Largest difference of the logits from the graph's, on random tokens: the whole at once, and its last step."""
    c = model.config
    ids = torch.randint(0, c.vocab_size, (1, S), generator=torch.Generator().manual_seed(0))
    embeds = model.get_input_embeddings()(ids)
    session = ort.InferenceSession(str(decoder))
    names = [i.name for i in session.get_inputs() if i.name.startswith("past")]
    past = [np.zeros((1, c.num_key_value_heads, 0, c.head_dim), np.float32)] * len(names)
    expected, error, end = model(inputs_embeds=embeds).logits[0], 0.0, 0
    for part in (S - 1, 1):
        start, end = end, end + part
        feed = {
            "inputs_embeds": embeds[:, start:end].numpy(),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(start, end)[None],
        }
        logits, *past = session.run(None, {**feed, **dict(zip(names, past))})
        error = max(error, float(np.abs(logits[0, -1] - expected[end - 1].numpy()).max()))
    return error


@torch.no_grad()
def projector_error(projector: Projector, path: Path) -> float:
    hidden = torch.randn(5, projector.linear_1.in_features, generator=torch.Generator().manual_seed(0))
    expected = ort.InferenceSession(str(path)).run(None, {"hidden": hidden.numpy()})[0]
    return float(np.abs(projector(hidden).numpy() - expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/nano")
    folder = Path(parser.parse_args().model)
    files = json.loads((folder / "visionzip.json").read_text())["files"]
    model, *projectors = load_language(folder)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, context {model.config.max_position_embeddings}")
    print(f"logits: max abs difference {logits_error(model, folder / files['decoder']):.1e}")
    for key, projector in zip(("projector", "projectorTuned"), projectors):
        if key in files:
            print(f"{key}: max abs difference {projector_error(projector, folder / files[key]):.1e}")


if __name__ == "__main__":
    main()
