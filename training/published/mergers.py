"""Exports a model whose tower ends in a patch merger, Qwen2-VL and those after it, into the layout of the hub.

    python training/published/mergers.py --model HUB_ID_OR_FOLDER --out DIR [--dtype fp32 q4 …] [--no-deepstack]

onnx/vision_encoder   pixel_values (n, 3 · 2 · p · p), a pair of frames or a picture doubled, and its grid (1, 3): 1, h
                      and w in patches -> image_features (n / 4, H)
onnx/embed_tokens     input_ids -> inputs_embeds
onnx/decoder_model_merged
                      inputs_embeds, attention_mask, position_ids (3, B, S), past_key_values.{i}.key|value -> logits of
                      all positions, present.{i}.key|value

A layer without softmax (Qwen3.5) has past_conv.{i} and past_recurrent.{i}, zeros before the first token, and present_….
With DeepStack (Qwen3-VL), also vision_encoder -> deepstack_features (L, n / 4, H), and decoder_model_merged:
deepstack_embeds (L, B, S, H), zeros where there is text. --no-deepstack leaves it out, as the hub's exports do.
"""

import argparse
import inspect
from functools import partial
from pathlib import Path

import torch
from delta_net import state_shapes
from dtypes import DTYPES
from layout import copy_settings, write_embed_tokens, write_graph, write_graphs
from merger_graphs import (
    MergerDecoderGraph,
    MergerVisionGraph,
    StackedVisionGraph,
    WindowedVisionGraph,
    drop_deepstack,
    has_delta_net,
    stacked_layers,
)
from transformers import AutoModelForImageTextToText, PreTrainedModel

VISION = {
    "qwen2_vl": MergerVisionGraph,
    "qwen2_5_vl": WindowedVisionGraph,
    "qwen3_vl": StackedVisionGraph,
    "qwen3_5": StackedVisionGraph,
}


def write_vision_encoder(model: PreTrainedModel, path: Path) -> None:
    c, h, w = model.config.vision_config, 4, 6
    graph = VISION[model.config.model_type](model)
    row = c.in_channels * c.temporal_patch_size * c.patch_size**2
    inputs = {"pixel_values": torch.randn(h * w, row), graph.grid: torch.tensor([[1, h, w]])}
    axes = {"pixel_values": {0: "num_patches"}, "image_features": {0: "num_tokens"}}
    axes |= {"deepstack_features": {1: "num_tokens"}} if "deepstack_features" in graph.outputs else {}
    write_graph(graph, path, inputs, list(graph.outputs), axes)


def cache_inputs(model: PreTrainedModel, batch: int, past: int) -> tuple[dict, dict]:
    """Tensors by their names, and the names of the sizes that may change."""
    c = model.config.get_text_config()
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    tensors, axes = {}, {}
    for i, layer in enumerate(model.model.language_model.layers):
        if has_delta_net(layer):
            shapes = {f"past_{part}.{i}": of for part, of in state_shapes(layer.linear_attn).items()}
            axes |= {name: {0: "batch_size"} for name in shapes}
        else:
            shapes = {
                f"past_key_values.{i}.{part}": (c.num_key_value_heads, past, head_dim) for part in ("key", "value")
            }
            axes |= {name: {0: "batch_size", 2: "past_sequence_length"} for name in shapes}
        tensors |= {name: torch.randn(batch, *shape) for name, shape in shapes.items()}
    return tensors, axes


def write_decoder(model: PreTrainedModel, path: Path) -> None:
    H, L, B, S, past = model.config.get_text_config().hidden_size, stacked_layers(model), 2, 3, 4
    cache, cache_axes = cache_inputs(model, B, past)
    inputs = {
        "inputs_embeds": torch.randn(B, S, H),
        "attention_mask": torch.ones(B, past + S).long(),
        "position_ids": torch.arange(past, past + S).expand(3, B, S),
        **({"deepstack_embeds": torch.randn(L, B, S, H)} if L else {}),
        **cache,
    }
    present = {name: name.replace("past_key_values", "present").replace("past_", "present_") for name in cache}
    axes = {
        "inputs_embeds": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "position_ids": {1: "batch_size", 2: "sequence_length"},
        **({"deepstack_embeds": {1: "batch_size", 2: "sequence_length"}} if L else {}),
        "logits": {0: "batch_size", 1: "sequence_length"},
        **cache_axes,
    }
    for name, of in cache_axes.items():
        axes[present[name]] = of | ({2: "total_sequence_length"} if 2 in of else {})
    write_graph(MergerDecoderGraph(model), path, inputs, ["logits", *present.values()], axes)


WRITERS = {
    "vision_encoder": write_vision_encoder,
    "embed_tokens": write_embed_tokens,
    "decoder_model_merged": write_decoder,
}


def export(source: str, out: Path, dtypes: list[str], deepstack: bool = True) -> PreTrainedModel:
    """`source`: an id on the hub or a folder. Returns the model that was exported, in float32."""
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    if not deepstack:
        drop_deepstack(model)
    out.mkdir(parents=True, exist_ok=True)
    copy_settings(source, out)
    write_graphs({name: partial(write, model) for name, write in WRITERS.items()}, out / "onnx", dtypes)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True, help="id on the hub, or a folder")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["fp32"])
    parser.add_argument("--no-deepstack", action="store_true", help="as the hub's exports of Qwen3-VL")
    args = parser.parse_args()
    out = Path(args.out)
    export(args.model, out, args.dtype, not args.no_deepstack)
    for path in sorted((out / "onnx").iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")


if __name__ == "__main__":
    main()
