"""Exports a LLaVA-style model into the layout of the hub's ONNX exports, which transformers.js reads.

    python training/published/layout.py --model HUB_ID_OR_FOLDER --out DIR [--dtype fp32 q4 …]

onnx/vision_encoder   pixel_values -> image_features: the tower up to the selected layer and the projector; no pooling,
                      no newline
onnx/embed_tokens     input_ids -> inputs_embeds
onnx/decoder_model_merged
                      inputs_embeds, attention_mask, position_ids, past_key_values.{i}.key|value -> logits of all
                      positions, present.{i}.key|value
onnx/image_newline.npy
                      the newline embedding (H) where the family has one. The hub's exports lack it.
"""

import argparse
import inspect
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from dtypes import DTYPES, write_dtype
from torch import nn
from transformers import AutoModelForImageTextToText, DynamicCache, PreTrainedModel
from transformers.utils import cached_file

SETTINGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)
OPSET = 17


def vision_tower(model: PreTrainedModel) -> nn.Module:
    """Video-LLaVA has a second tower, for images, which no video goes through."""
    parts = model.model
    return getattr(parts, "video_tower", None) or getattr(parts, "vision_tower", None) or parts.vision_model


def is_convolutional(model: PreTrainedModel) -> bool:
    """FastVLM's tower is, to its end: no attention over the tokens that leave it, nor layers to select from."""
    return hasattr(vision_tower(model), "timm_model")


def has_connector(model: PreTrainedModel) -> bool:
    """SmolVLM's projector takes a block of patches at once, from as many pictures as there are in one input."""
    return hasattr(model.model, "connector")


def projector(model: PreTrainedModel) -> nn.Module:
    """What a token goes through alone; nothing where it comes from a connector."""
    return nn.Identity() if has_connector(model) else model.model.multi_modal_projector


def language_model(model: PreTrainedModel) -> nn.Module:
    """A bare decoder is its own."""
    parts = model.model
    return getattr(parts, "language_model", None) or getattr(parts, "text_model", None) or parts


def drops_cls(model: PreTrainedModel) -> bool:
    """Video-LLaVA's frames keep CLS whatever the config says; its images do not."""
    strategy = getattr(model.config, "vision_feature_select_strategy", None)
    return not hasattr(model.model, "video_tower") and strategy == "default"


class VisionGraph(nn.Module):
    """pixel_values (B, 3, S, S) -> image_features (B, N, H). What follows the selected layer is dead code."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.tower, self.projector = vision_tower(model), model.model.multi_modal_projector
        self.layer, self.drops_cls = model.config.vision_feature_layer, drops_cls(model)
        if not isinstance(self.layer, int):
            raise TypeError(f"`vision_feature_layer` {self.layer}: expected one layer")

    def forward(self, pixel_values):
        hidden = self.tower(pixel_values, output_hidden_states=True).hidden_states[self.layer]
        return self.projector(hidden[:, 1:] if self.drops_cls else hidden)


class ConvolutionalVisionGraph(nn.Module):
    """FastVLM: pixel_values (B, 3, S, S) -> image_features (B, N, H), the tower's last map flattened and projected."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.tower, self.projector = vision_tower(model), model.model.multi_modal_projector

    def forward(self, pixel_values):
        return self.projector(self.tower(pixel_values, do_pooling=False).last_hidden_state.flatten(2).transpose(1, 2))


class ShuffledVisionGraph(nn.Module):
    """
    SmolVLM: pixel_values (B, I, 3, S, S), pixel_attention_mask (B, I, S, S) -> image_features (B · I, N / scale², H).
    The tower's steps in our words: transformers' own position ids do not survive TorchScript (an untyped `full`).
    """

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.tower, self.connector = vision_tower(model), model.model.connector
        c = model.config.vision_config
        self.patch, self.side = c.patch_size, c.image_size // c.patch_size

    def forward(self, pixel_values, pixel_attention_mask):
        mask = pixel_attention_mask.flatten(0, 1)[:, :: self.patch, :: self.patch].long()  # (F, h, w)
        embeddings = self.tower.embeddings
        x = embeddings.patch_embedding(pixel_values.flatten(0, 1)).flatten(2).transpose(1, 2)
        x = x + embeddings.position_embedding((self.position_ids(mask) * mask).flatten(1))
        seen = mask.flatten(1)[:, None, None]
        bias = (1 - seen).to(x.dtype) * torch.finfo(x.dtype).min
        for layer in self.tower.encoder.layers:
            x = layer(x, bias)
        return self.connector(self.tower.post_layernorm(x))

    def position_ids(self, mask):
        """(F, h, w): a smaller picture's patches spread over the grid that the embedding knows."""
        rows, columns = mask[:, :, 0].sum(1, keepdim=True), mask[:, 0].sum(1, keepdim=True)
        y = torch.div(torch.arange(mask.shape[1])[None] * self.side, rows, rounding_mode="trunc")
        x = torch.div(torch.arange(mask.shape[2])[None] * self.side, columns, rounding_mode="trunc")
        return y[:, :, None] * self.side + x[:, None]


def causal_bias(inputs_embeds, attention_mask):
    """inputs_embeds (B, S, H), attention_mask (B, total) -> (B, 1, S, total)."""
    S, total = inputs_embeds.shape[1], attention_mask.shape[1]
    # Query s stands at total - S + s and looks at keys up to itself.
    later = torch.arange(total)[None] > torch.arange(S)[:, None] + (total - S)
    hidden = later[None, None] | (attention_mask[:, None, None, :] == 0)
    return hidden.to(inputs_embeds.dtype) * torch.finfo(inputs_embeds.dtype).min


class DecoderGraph(nn.Module):
    """Prefill and decode steps in one graph; the cache comes in as 2 tensors a block, and goes out grown."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.text, self.lm_head = language_model(model), model.lm_head

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        cache = DynamicCache(list(zip(past[::2], past[1::2])))
        out = self.text(
            inputs_embeds=inputs_embeds,
            attention_mask=causal_bias(inputs_embeds, attention_mask),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        present = [t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)]
        return self.lm_head(out.last_hidden_state), *present


def write_graph(module: nn.Module, path: Path, inputs: dict, outputs: list[str], dynamic: dict) -> None:
    """Beyond 2 GB PyTorch writes one file a weight beside `path`; dtypes.py gathers them."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # TorchScript's exporter is deprecated, and tracing warns of every Python branch
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=dynamic,
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )


def image_size(model: PreTrainedModel) -> int:
    """What a tower of timm's is used with is not in its settings: the count of its tokens says it."""
    if is_convolutional(model):
        return math.isqrt(model.config.image_seq_length) * vision_tower(model).timm_model.feature_info[-1]["reduction"]
    return model.config.vision_config.image_size


def write_vision_encoder(model: PreTrainedModel, path: Path) -> None:
    size = image_size(model)
    if has_connector(model):
        inputs = {
            "pixel_values": torch.randn(2, 2, 3, size, size),
            "pixel_attention_mask": torch.ones(2, 2, size, size).bool(),
        }
        axes = {name: {0: "batch_size", 1: "num_images"} for name in inputs}
        write_graph(ShuffledVisionGraph(model), path, inputs, ["image_features"], axes | {"image_features": {0: "all"}})
        return
    inputs = {"pixel_values": torch.randn(2, 3, size, size)}
    axes = {name: {0: "batch_size"} for name in ("pixel_values", "image_features")}
    graph = ConvolutionalVisionGraph if is_convolutional(model) else VisionGraph
    write_graph(graph(model), path, inputs, ["image_features"], axes)


def write_embed_tokens(model: PreTrainedModel, path: Path) -> None:
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", "inputs_embeds")}
    inputs = {"input_ids": torch.tensor([[1, 2, 3]])}
    write_graph(model.get_input_embeddings(), path, inputs, ["inputs_embeds"], axes)


def write_decoder(model: PreTrainedModel, path: Path) -> None:
    c = model.config.get_text_config()
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    S, past = 3, 4
    cache = {
        f"past_key_values.{i}.{part}": torch.randn(2, c.num_key_value_heads, past, head_dim)
        for i in range(c.num_hidden_layers)
        for part in ("key", "value")
    }
    inputs = {
        "inputs_embeds": torch.randn(2, S, c.hidden_size),
        "attention_mask": torch.ones(2, past + S).long(),
        "position_ids": torch.arange(past, past + S).expand(2, S),
        **cache,
    }
    present = [name.replace("past_key_values", "present") for name in cache]
    axes = {
        "inputs_embeds": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "position_ids": {0: "batch_size", 1: "sequence_length"},
        "logits": {0: "batch_size", 1: "sequence_length"},
        **{name: {0: "batch_size", 2: "past_sequence_length"} for name in cache},
        **{name: {0: "batch_size", 2: "total_sequence_length"} for name in present},
    }
    write_graph(DecoderGraph(model), path, inputs, ["logits", *present], axes)


WRITERS = {
    "vision_encoder": write_vision_encoder,
    "embed_tokens": write_embed_tokens,
    "decoder_model_merged": write_decoder,
}


def copy_settings(source: str, out: Path) -> None:
    """As the repository has them; those it lacks are left out."""
    for name in SETTINGS:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if found:
            shutil.copyfile(found, out / name)


def write_graphs(writers: dict[str, Callable[[Path], None]], folder: Path, dtypes: list[str]) -> None:
    """By name, what writes the float32 graph to a path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in writers.items():
        with tempfile.TemporaryDirectory(dir=folder) as scratch, torch.no_grad():
            path = Path(scratch) / f"{name}.onnx"
            write(path)
            for dtype in dtypes:
                write_dtype(path, folder, dtype)


def export(source: str, out: Path, dtypes: list[str]) -> PreTrainedModel:
    """`source`: an id on the hub or a folder. Returns the model that was exported, in float32."""
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    folder = out / "onnx"
    out.mkdir(parents=True, exist_ok=True)
    copy_settings(source, out)
    write_graphs({name: partial(write, model) for name, write in WRITERS.items()}, folder, dtypes)
    newline = getattr(model.model, "image_newline", None)
    if newline is not None:
        np.save(folder / "image_newline.npy", newline.detach().numpy())
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True, help="id on the hub, or a folder")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["fp32"])
    args = parser.parse_args()
    out = Path(args.out)
    export(args.model, out, args.dtype)
    for path in sorted((out / "onnx").iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")


if __name__ == "__main__":
    main()
