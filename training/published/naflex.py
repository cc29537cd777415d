"""Graphs of LFM2-VL in our words: a SigLIP 2 tower for pictures in their own proportions (NaFlex, arXiv 2502.14786, section
2), and a decoder most of whose layers are short convolutions (LFM2, arXiv 2511.23404). `mergers.py` exports them.

onnx/vision_encoder   pixel_values (B, n, p · p · 3), pixel_attention_mask (B, n) and spatial_shapes (B, 2), which are the
                      same (h, w) for all -> image_features (B, h · w / factor², H). Rows behind the first h · w are padding
onnx/decoder_model_merged
                      inputs_embeds, attention_mask, position_ids, of each layer past_conv.{i} (B, H, kernel) or
                      past_key_values.{i}.key|value -> logits of all positions, present_conv.{i}, present.{i}.key|value
"""

from pathlib import Path

import torch
from layout import causal_bias, write_graph
from merger_graphs import LayerCache
from torch import nn
from transformers import PreTrainedModel


class NaflexVisionGraph(nn.Module):
    """The tower's positions and the unpadding in our words: transformers reads numbers out of tensors there."""

    grid = "spatial_shapes"

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        embeddings = self.tower.embeddings
        side = embeddings.position_embedding_size
        self.register_buffer("known", embeddings.position_embedding.weight.reshape(side, side, -1))

    def forward(self, pixel_values, pixel_attention_mask, spatial_shapes):
        h, w = spatial_shapes[0, 0], spatial_shapes[0, 1]
        x = self.tower.embeddings.patch_embedding(pixel_values)
        positions = self.positions(h, w)
        padding = positions[:1].expand(x.shape[1] - positions.shape[0], -1)
        x = x + torch.cat([positions, padding])
        bias = (1 - pixel_attention_mask[:, None, None]).to(x.dtype) * torch.finfo(x.dtype).min
        for layer in self.tower.encoder.layers:
            x = layer(x, bias)
        x = self.tower.post_layernorm(x)[:, : h * w]
        return self.projector(x.reshape(x.shape[0], h, w, x.shape[2])).flatten(1, 2)

    def positions(self, h, w):
        """(h · w, D): the known square of positions, resized."""
        side = self.known.shape[0]
        rows = (self.shares(h, side) @ self.known.flatten(1)).unflatten(1, (side, -1))  # (h, side, D)
        return (self.shares(w, side) @ rows).flatten(0, 1)

    @staticmethod
    def shares(size, side: int):
        """(size, side): what each of `size` places takes of the known ones. Bilinear, over more where places are fewer."""
        step = side / size.float()
        distance = (torch.arange(side).float() + 0.5)[None] - ((torch.arange(size).float() + 0.5) * step)[:, None]
        share = (1 - distance.abs() / step.clamp(min=1)).clamp(min=0)
        return share / share.sum(1, keepdim=True)


class HybridDecoderGraph(nn.Module):
    """Prefill and decode steps in one graph. A convolution remembers the last `kernel` of its inputs."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.text, self.lm_head = model.model.language_model, model.lm_head

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        bias, angles = causal_bias(inputs_embeds, attention_mask), self.text.rotary_emb(inputs_embeds, position_ids)
        x, rest, present = inputs_embeds, iter(past), []
        for layer in self.text.layers:
            given = layer.operator_norm(x)
            if layer.is_attention_layer:
                cache = LayerCache(next(rest), next(rest))
                mixed, _ = layer.self_attn(given, angles, bias, cache)
                present += cache.key, cache.value
            else:
                mixed, state = self.convolve(layer.conv, given, next(rest))
                present.append(state)
            x = x + mixed
            x = x + layer.feed_forward(layer.ffn_norm(x))
        return self.lm_head(self.text.embedding_norm(x)), *present

    @staticmethod
    def convolve(conv: nn.Module, x, state):
        """x (B, S, H), state (B, H, kernel) -> (B, S, H), and the state behind it."""
        before, behind, x = conv.in_proj(x).transpose(1, 2).chunk(3, 1)
        seen = torch.cat([state, before * x], 2)
        mixed = nn.functional.conv1d(seen, conv.conv.weight, conv.conv.bias, groups=len(conv.conv.weight))[:, :, 1:]
        return conv.out_proj((behind * mixed).transpose(1, 2)), seen[:, :, -conv.conv_kernel_size :]


def state_shapes(conv: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of one sequence: the last inputs of the convolution."""
    return {"conv": (len(conv.conv.weight), conv.conv_kernel_size)}


def write_vision_encoder(model: PreTrainedModel, path: Path) -> None:
    c, h, w = model.config.vision_config, 4, 6
    inputs = {
        "pixel_values": torch.randn(1, h * w, c.num_channels * c.patch_size**2),
        "pixel_attention_mask": torch.ones(1, h * w).long(),
        "spatial_shapes": torch.tensor([[h, w]]),
    }
    axes = {name: {0: "batch_size", 1: "num_patches"} for name in ("pixel_values", "pixel_attention_mask")}
    axes |= {"spatial_shapes": {0: "batch_size"}, "image_features": {0: "batch_size", 1: "num_tokens"}}
    write_graph(NaflexVisionGraph(model), path, inputs, ["image_features"], axes)
