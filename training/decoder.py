"""
LlamaForCausalLM's computation on its own weights, written out: one function serves training (many questions packed
behind one visual prefix) and export (KV cache in and out). export.py checks it against transformers.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlamaForCausalLM

Cache = list[tuple[torch.Tensor, torch.Tensor]]


def rotation(position_ids: torch.Tensor, head_dim: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, S) -> cosine and sine (B, 1, S, head_dim), each half the same."""
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = position_ids[:, None, :, None].float() * rates
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def norm(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.float()
    return module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon))


def run_blocks(
    model: LlamaForCausalLM,
    x: torch.Tensor,
    position_ids: torch.Tensor,
    bias: torch.Tensor,
    past: Cache | None = None,
    states: list[torch.Tensor] | None = None,
) -> tuple[torch.Tensor, Cache]:
    """
    x (B, S, H), bias (B or 1, 1, S, past + S), 0 where a token may look and very negative where not. Returns the
    normed output (B, S, H) and the keys and values (B, heads, past + S, head_dim) of every block, whose own outputs
    (B, S, H) are added to `states`.
    """
    B, S, H = x.shape
    heads, head_dim = model.config.num_attention_heads, model.config.head_dim
    cos, sin = rotation(position_ids, head_dim, model.config.rope_parameters["rope_theta"])
    split = lambda t: t.view(B, S, heads, head_dim).transpose(1, 2)
    present: Cache = []
    for i, layer in enumerate(model.model.layers):
        a = layer.self_attn
        h = norm(layer.input_layernorm, x)
        q, k, v = split(a.q_proj(h)), split(a.k_proj(h)), split(a.v_proj(h))
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if past is not None:
            k, v = torch.cat([past[i][0], k], 2), torch.cat([past[i][1], v], 2)
        present.append((k, v))
        weights = (q @ k.transpose(2, 3) * head_dim**-0.5 + bias.to(v.dtype)).softmax(-1)
        x = x + a.o_proj((weights.to(v.dtype) @ v).transpose(1, 2).reshape(B, S, H))
        h = norm(layer.post_attention_layernorm, x)
        x = x + layer.mlp.down_proj(F.silu(layer.mlp.gate_proj(h)) * layer.mlp.up_proj(h))
        if states is not None:
            states.append(x)
    return norm(model.model.norm, x), present


class Projector(nn.Module):
    """LLaVA-1.5's mlp2x_gelu, named as in LlavaMultiModalProjector."""

    def __init__(self, D: int, H: int):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(D, H), nn.Linear(H, H)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.linear_2(F.gelu(self.linear_1(hidden)))
