"""Qwen3.5's layers without softmax (Gated DeltaNet), over two operators of ONNX Runtime."""

import torch
import torch.nn.functional as F
from torch import nn


class CausalConv(torch.autograd.Function):
    """Depthwise, with SiLU: x (B, C, S), weight (C, 1, K), past (B, C, K - 1) -> (B, C, S) and what is past then."""

    @staticmethod
    def forward(_, x, weight, past):
        seen = torch.cat([past, x], 2)
        return F.silu(F.conv1d(seen, weight, groups=len(weight))), seen[:, :, x.shape[2] :]

    @staticmethod
    def symbolic(g, x, weight, past):
        none = g.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())
        out, present = g.op("com.microsoft::CausalConvWithState", x, weight, none, past, activation_s="silu", outputs=2)
        out.setType(x.type())
        present.setType(past.type())
        return out, present


class GatedDelta(torch.autograd.Function):
    """
    The recurrence, token after token: q and k (B, S, h · dk), v (B, S, h · dv), past (B, h, dk, dv), beta (B, S, h) and
    decay (B, S, h), the logarithm of what stays -> (B, S, h · dv) and the state behind the last token.
    """

    @staticmethod
    def forward(_, q, k, v, past, decay, beta, heads: int):
        state, out = past, []
        q, k, v = (t.unflatten(2, (heads, -1)) for t in (q, k, v))
        for s in range(q.shape[1]):
            state = state * decay[:, s, :, None, None].exp()
            told = torch.einsum("bhkv,bhk->bhv", state, k[:, s])
            state = state + torch.einsum("bhk,bhv->bhkv", k[:, s], beta[:, s, :, None] * (v[:, s] - told))
            out.append(torch.einsum("bhkv,bhk->bhv", state, q[:, s]) * q.shape[3] ** -0.5)
        return torch.stack(out, 1).flatten(2), state

    @staticmethod
    def symbolic(g, q, k, v, past, decay, beta, heads: int):
        out, present = g.op(
            "com.microsoft::LinearAttention",
            *(q, k, v, past, decay, beta),
            q_num_heads_i=heads,
            kv_num_heads_i=heads,
            update_rule_s="gated_delta",
            outputs=2,
        )
        out.setType(v.type())
        present.setType(past.type())
        return out, present


def state_shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of one sequence: the last inputs of the convolution, and the state."""
    return {
        "conv": (net.conv_dim, net.conv_kernel_size - 1),
        "recurrent": (net.num_v_heads, net.head_k_dim, net.head_v_dim),
    }


def mix(net: nn.Module, x, conv, recurrent):
    """x (B, S, H), conv (B, C, K - 1), recurrent (B, h, dk, dv) -> the same three, behind these tokens."""
    mixed, conv = CausalConv.apply(net.in_proj_qkv(x).transpose(1, 2), net.conv1d.weight, conv)
    q, k, v = mixed.transpose(1, 2).split([net.key_dim, net.key_dim, net.value_dim], -1)
    q, k = (spread(net, normed(t.unflatten(2, (net.num_k_heads, net.head_k_dim)))) for t in (q, k))
    decay = -net.A_log.exp() * F.softplus(net.in_proj_a(x) + net.dt_bias)
    out, recurrent = GatedDelta.apply(q, k, v, recurrent, decay, net.in_proj_b(x).sigmoid(), net.num_v_heads)
    out, z = (t.unflatten(2, (net.num_v_heads, net.head_v_dim)) for t in (out, net.in_proj_z(x)))
    out = net.norm(out, z)
    return net.out_proj(out.flatten(2)), conv, recurrent


def normed(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def spread(net: nn.Module, x):
    """(B, S, heads of keys, d) -> (B, S, heads of values · d)."""
    return x.repeat_interleave(net.num_v_heads // net.num_k_heads, 2).flatten(2)
