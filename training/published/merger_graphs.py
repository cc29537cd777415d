"""Towers that end in a patch merger, and their decoders, as ONNX takes them.

The towers' steps are in our words: transformers cuts its sequences by numbers that it reads out of tensors.
"""

import torch
from delta_net import mix
from layout import causal_bias
from torch import nn
from transformers import PreTrainedModel

MERGE = 2  # patches a side of what becomes one token; the same in every published model


def divide(x, by):
    return torch.div(x, by, rounding_mode="floor")


def places(grid_thw):
    """(1, 3) -> rows and columns (n) of the patches as pixel_values has them: the 4 of a token one after the other."""
    h, w = grid_thw[0, 1], grid_thw[0, 2]
    i = torch.arange(h * w)
    token, inside = divide(i, MERGE**2), i % MERGE**2
    tokens_wide = divide(w, MERGE)
    row = divide(token, tokens_wide) * MERGE + divide(inside, MERGE)
    return row, token % tokens_wide * MERGE + inside % MERGE


class PatchRotary(nn.Module):
    """Rows and columns (n) -> cos and sin (n, 1, d)."""

    def __init__(self, inv_freq: torch.Tensor):
        super().__init__()
        self.register_buffer("inv_freq", inv_freq)

    def forward(self, row, column):
        angles = (torch.stack([row, column], 1)[:, :, None].float() * self.inv_freq).flatten(1).repeat(1, 2)
        return angles.cos()[:, None], angles.sin()[:, None]


def rotate(x, cos, sin):
    """x (…, d)."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def attend(attention: nn.Module, x, angles, bias=None):
    """x (n, D), bias (n, n) -> (n, D)."""
    n = x.shape[0]
    q, k, v = attention.qkv(x).reshape(n, 3, attention.num_heads, attention.head_dim).permute(1, 0, 2, 3).unbind(0)
    q, k, v = (t.transpose(0, 1)[None] for t in (rotate(q, *angles), rotate(k, *angles), v))  # (1, heads, n, d)
    scores = q @ k.transpose(2, 3) * attention.scaling
    if bias is not None:
        scores = scores + bias
    mixed = scores.softmax(-1) @ v
    return attention.proj(mixed.transpose(1, 2).reshape(n, attention.dim))


class MergerVisionGraph(nn.Module):
    """Qwen2-VL: pixel_values (n, 3 · 2 · p · p), grid_thw (1, 3) -> image_features (n / 4, H)."""

    grid = "grid_thw"
    outputs = ("image_features",)

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.tower = model.model.visual
        self.rotary_emb = PatchRotary(self.tower.rotary_pos_emb.inv_freq)

    def forward(self, pixel_values, grid_thw):
        x = self.tower.patch_embed(pixel_values)
        angles = self.rotary_emb(*places(grid_thw))
        for block in self.tower.blocks:
            x = self.run(block, x, angles)
        return self.tower.merger(x)

    @staticmethod
    def run(block: nn.Module, x, angles, bias=None):
        x = x + attend(block.attn, block.norm1(x), angles, bias)
        return x + block.mlp(block.norm2(x))


class WindowedVisionGraph(MergerVisionGraph):
    """
    Qwen2.5-VL: pixel_values (n, 3 · 2 · p · p), image_grid_thw (1, 3) -> image_features (n / 4, H). The tokens stand
    window after window inside, and most blocks look at their own window only.
    """

    grid = "image_grid_thw"

    def __init__(self, model: PreTrainedModel):
        super().__init__(model)
        self.side = self.tower.window_size // MERGE // self.tower.patch_size  # tokens

    def forward(self, pixel_values, image_grid_thw):
        order, window = self.windows(image_grid_thw)
        x = self.permute(self.tower.patch_embed(pixel_values), order)
        angles = self.rotary_emb(*(self.permute(place[:, None], order)[:, 0] for place in places(image_grid_thw)))
        bias = (window[:, None] != window[None]).to(x.dtype) * torch.finfo(x.dtype).min
        for i, block in enumerate(self.tower.blocks):
            x = self.run(block, x, angles, None if i in self.tower.fullatt_block_indexes else bias)
        return self.tower.merger(x)[order.argsort()]

    def windows(self, grid_thw):
        """The tokens (n / 4) window by window, and the window of each patch (n) then."""
        h, w = divide(grid_thw[0, 1], MERGE), divide(grid_thw[0, 2], MERGE)
        i = torch.arange(h * w)
        row, column = divide(i, w), i % w
        windows_wide = divide(w + self.side - 1, self.side)
        window = divide(row, self.side) * windows_wide + divide(column, self.side)
        order = ((window * self.side + row % self.side) * self.side + column % self.side).argsort()
        return order, window[order][:, None].expand(-1, MERGE**2).flatten()

    @staticmethod
    def permute(x, order):
        """x (n, D), 4 rows a token."""
        return x.unflatten(0, (-1, MERGE**2))[order].flatten(0, 1)


class StackedVisionGraph(MergerVisionGraph):
    """
    Qwen3-VL: pixel_values (n, 3 · 2 · p · p), image_grid_thw (1, 3) -> image_features (n / 4, H) and, with DeepStack,
    deepstack_features (L, n / 4, H). Learned positions of a square are spread over the grid.
    """

    grid = "image_grid_thw"

    def __init__(self, model: PreTrainedModel):
        super().__init__(model)
        self.stacked = getattr(self.tower, "deepstack_visual_indexes", [])
        if self.stacked:
            self.outputs = ("image_features", "deepstack_features")

    def forward(self, pixel_values, image_grid_thw):
        row, column = places(image_grid_thw)
        x = self.tower.patch_embed(pixel_values) + self.positions(row, column, image_grid_thw)
        angles, features = self.rotary_emb(row, column), []
        for i, block in enumerate(self.tower.blocks):
            x = self.run(block, x, angles)
            if i in self.stacked:
                features.append(self.tower.deepstack_merger_list[self.stacked.index(i)](x))
        merged = self.tower.merger(x)
        return (merged, torch.stack(features)) if features else merged

    def positions(self, row, column, grid_thw):
        """(n, D): bilinear; the corners of the grid have those of the square."""
        side = self.tower.num_grid_per_side
        ends = [self.between(of, size, side) for of, size in ((row, grid_thw[0, 1]), (column, grid_thw[0, 2]))]
        corners = [(y * side + x, sy * sx) for y, sy in ends[0] for x, sx in ends[1]]
        return sum(self.tower.pos_embed(i) * share[:, None] for i, share in corners)

    @staticmethod
    def between(i, size, side: int):
        """The two places of the square that `i` (n) of `size` lies between, and the share of each (n)."""
        place = i.float() * (side - 1) / (size - 1).clamp(min=1)
        low = place.floor()
        return (low.long(), 1 - place + low), ((low.long() + 1).clamp(max=side - 1), place - low)


class SectionedRotary(nn.Module):
    """position_ids (3, B, S) -> cos and sin (B, S, d): every frequency turns by one of the three."""

    def __init__(self, rotary: nn.Module):
        super().__init__()
        self.register_buffer("inv_freq", rotary.inv_freq)
        # transformers' own choice, told by giving it the numbers of the three.
        three = torch.arange(3.0)[:, None, None, None].expand(3, 1, 1, len(rotary.inv_freq)).clone()
        chosen = rotary.recomposition_frequencies(three)[0, 0, : len(rotary.inv_freq)]
        self.register_buffer("axis", chosen.long())

    def forward(self, position_ids):
        turned = position_ids.permute(1, 2, 0).index_select(2, self.axis)  # (B, S, d / 2)
        angles = (turned.float() * self.inv_freq).repeat(1, 1, 2)
        return angles.cos(), angles.sin()


def stacked_layers(model: PreTrainedModel) -> int:
    """How many of the decoder's first layers get features of the tower added behind them."""
    return len(getattr(model.model.visual, "deepstack_visual_indexes", []))


def drop_deepstack(model: PreTrainedModel) -> None:
    """Its config keeps the indexes, as those of such exports on the hub do."""
    model.model.visual.deepstack_visual_indexes = []


class LayerCache:
    """What transformers' attention asks of a cache, for one layer."""

    def __init__(self, key, value):
        self.key, self.value = key, value

    def update(self, key, value, _layer):
        self.key, self.value = torch.cat([self.key, key], 2), torch.cat([self.value, value], 2)
        return self.key, self.value


class MergerDecoderGraph(nn.Module):
    """
    Prefill and decode steps in one graph; position_ids (3, B, S) are time, row and column. With DeepStack,
    deepstack_embeds (L, B, S, H), zeros where there is text, goes before the cache, which is 2 tensors a layer.
    """

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.text, self.lm_head = model.model.language_model, model.lm_head
        self.rotary_emb = SectionedRotary(self.text.rotary_emb)
        self.stacked = stacked_layers(model)

    def forward(self, inputs_embeds, attention_mask, position_ids, *rest):
        features, past = (rest[0], rest[1:]) if self.stacked else ((), rest)
        bias, angles = causal_bias(inputs_embeds, attention_mask), self.rotary_emb(position_ids)
        seen = attention_mask[:, -inputs_embeds.shape[1] :, None].to(inputs_embeds.dtype)
        x, present = inputs_embeds, []
        for i, (layer, *held) in enumerate(zip(self.text.layers, past[::2], past[1::2])):
            if has_delta_net(layer):
                x, *held = self.run_delta_net(layer, x, seen, *held)
            else:
                cache = LayerCache(*held)
                x = layer(x, attention_mask=bias, position_embeddings=angles, past_key_values=cache)
                held = cache.key, cache.value
            present += held
            if i < self.stacked:
                x = x + features[i]
        return self.lm_head(self.text.norm(x)), *present

    @staticmethod
    def run_delta_net(layer: nn.Module, x, seen, conv, recurrent):
        mixed, conv, recurrent = mix(layer.linear_attn, layer.input_layernorm(x) * seen, conv, recurrent)
        x = x + mixed
        return x + layer.mlp(layer.post_attention_layernorm(x)), conv, recurrent


def has_delta_net(layer: nn.Module) -> bool:
    return hasattr(layer, "linear_attn")
