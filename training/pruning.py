"""
The decoder layer by layer, with FastV (arXiv 2403.06764) and SparseVLM (arXiv 2410.04417) between the layers: both drop
visual tokens inside the language model and look at the question. Written from the papers' descriptions; one question at
a time, no batches.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from decoder import norm, rotate, rotation
from transformers import LlamaForCausalLM

MEAN, BEHIND = "mean", "behind"  # tokens are counted as the mean over the layers, or behind the last pruning
# SparseVLM prunes behind layers 2, 6 and 15 of 32; of what it drops at each, TAU comes back in clusters, THETA of them.
PRUNED_OF_32 = (2, 6, 15)
TAU, THETA, NEIGHBOURS = 0.3, 0.1, 5


class Visual(NamedTuple):
    """The visual tokens between two layers, and how they were seen in the layer before."""

    hidden: torch.Tensor  # (V, H)
    positions: torch.Tensor  # (V)
    attention: torch.Tensor  # (S, V), what each position of the question pays to them, the mean over heads


Prune = Callable[[Visual], tuple[torch.Tensor, torch.Tensor]]
Plan = dict[int, Prune]  # by the number of layers that lie before the pruning


def run_layer(model: LlamaForCausalLM, i: int, x, positions, past=None, rows: int = 0):
    """
    x (S, H) -> its output, keys and values with `past` before them, and how the last `rows` positions attended
    (rows, past + S), the mean over heads.
    """
    layer, heads, head_dim = model.model.layers[i], model.config.num_attention_heads, model.config.head_dim
    a, S = layer.self_attn, len(x)
    cos, sin = rotation(positions[None], head_dim, model.config.rope_parameters["rope_theta"])
    split = lambda t: t.view(S, heads, head_dim).transpose(0, 1)
    h = norm(layer.input_layernorm, x)
    q, k, v = rotate(split(a.q_proj(h)), cos[0], sin[0]), rotate(split(a.k_proj(h)), cos[0], sin[0]), split(a.v_proj(h))
    if past is not None:
        k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
    seen = torch.ones(S, k.shape[1], dtype=torch.bool).tril(k.shape[1] - S)
    # Without a past the kernel knows which keys to pass over.
    attended = F.scaled_dot_product_attention(q, k, v, None if past is None else seen, is_causal=past is None)
    attention = (q[:, S - rows :] @ k.transpose(1, 2) * head_dim**-0.5).masked_fill(~seen[S - rows :], -math.inf)
    x = x + a.o_proj(attended.transpose(0, 1).reshape(S, -1))
    h = norm(layer.post_attention_layernorm, x)
    x = x + layer.mlp.down_proj(F.silu(layer.mlp.gate_proj(h)) * layer.mlp.up_proj(h))
    return x, (k, v), attention.softmax(-1).mean(0)


class Prefix:
    """A clip as the decoder sees it before any question: computed once, since no token looks ahead."""

    def __init__(self, model: LlamaForCausalLM, ids: list[int], image: int, visual: torch.Tensor):
        """ids with one `image` a frame, visual (F, T, H)."""
        text, frames = model.get_input_embeddings()(torch.tensor(ids)), iter(visual)
        parts = [next(frames) if id == image else text[i : i + 1] for i, id in enumerate(ids)]
        self.is_visual = torch.cat([torch.full((len(p),), id == image) for p, id in zip(parts, ids)])
        self.positions = torch.arange(len(self.is_visual))
        self.states, self.caches = [torch.cat(parts)], []  # states[i] (P, H) enters layer i
        for i in range(model.config.num_hidden_layers):
            x, cache, _ = run_layer(model, i, self.states[-1], self.positions)
            self.states.append(x)
            self.caches.append(cache)


def answer(model: LlamaForCausalLM, prefix: Prefix, asked: list[int], plan: Plan, eos: list[int], most: int):
    """Greedy token ids, and how many visual tokens entered each layer. Kept tokens keep their positions."""
    embed, L = model.get_input_embeddings(), model.config.num_hidden_layers
    P, S = len(prefix.positions), len(asked)
    x, positions, is_visual = embed(torch.tensor(asked)), torch.arange(P, P + S), prefix.is_visual
    caches, counts, pruned = [], [], False
    for i in range(L):
        if i in plan:
            if not pruned:
                x, positions = torch.cat([prefix.states[i], x]), torch.cat([prefix.positions, positions])
            x, positions, is_visual = prune(plan[i], x, positions, is_visual, attention)
            pruned = True
        counts.append(int(is_visual.sum()))
        past, rows = None if pruned else prefix.caches[i], S if i + 1 in plan else 0
        x, cache, attention = run_layer(model, i, x, positions, past, rows)
        caches.append(cache)
    ids = []
    while True:
        ids.append(int(model.lm_head(norm(model.model.norm, x[-1:]))[0].argmax()))
        if ids[-1] in eos or len(ids) == most:
            return ids, counts
        x, positions = embed(torch.tensor(ids[-1:])), torch.tensor([P + S + len(ids) - 1])
        for i in range(L):
            x, caches[i], _ = run_layer(model, i, x, positions, caches[i])


def prune(method: Prune, x, positions, is_visual, attention):
    """
    What a method leaves of the visual tokens, back among the text by position. The question stands behind the P tokens
    of `is_visual`; attention (S, P + S) is its.
    """
    at = is_visual.nonzero()[:, 0]
    others = torch.ones(len(x), dtype=torch.bool)
    others[at] = False
    hidden, where = method(Visual(x[at], positions[at], attention[:, at]))
    together = torch.cat([positions[others], where])
    order = together.argsort()
    was_visual = (torch.arange(len(together)) >= int(others.sum()))[order]
    question = attention.shape[0]
    return torch.cat([x[others], hidden])[order], together[order], was_visual[: len(order) - question]


def fastv_plan(K: int, kept: int, rank: str) -> Plan:
    """
    Behind layer K the `kept` visual tokens of the clip stay that get the most attention in it, from the `last` position
    of the prompt or in the `mean` over the question's.
    """

    def keep(visual: Visual):
        score = visual.attention[-1] if rank == "last" else visual.attention.mean(0)
        top = score.sort(descending=True, stable=True).indices[:kept]
        return visual.hidden[top], visual.positions[top]

    return {K: keep}


def fastv_kept(N: int, L: int, K: int, tokens: float, count: str) -> int | None:
    """Of N visual tokens; None where K full layers of L already hold more than the mean allows."""
    kept = tokens if count == BEHIND else (L * tokens - K * N) / (L - K)
    return round(kept) if kept >= 1 else None


def sparse_plan(embeds: torch.Tensor, asked: torch.Tensor, sizes: dict[int, int], by: str) -> Plan:
    """
    Visual tokens (V, H) and the question (S, H) as they enter the decoder; `sizes`: by layers before, tokens then.
    Raters are the words of the question, the template's behind it among them, that have to do with the picture by the
    mean or more: `by` similarity of their embedding to those of the visual tokens, the paper's way; or by attention,
    what they pay to the visual tokens in the layer, since embeddings of words and patches need not be alike.
    """
    shares = (embeds @ asked.T).softmax(-1).mean(0)

    def to(size: int) -> Prune:
        def drop(visual: Visual):
            worth = shares if by == "similarity" else visual.attention.sum(1)
            return sparsify(visual, visual.attention[worth >= worth.mean()].mean(0), size)

        return drop

    return {layers: to(size) for layers, size in sizes.items()}


def sparsify(visual: Visual, score: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The tokens with the highest scores, and C clusters of the best TAU of the others, `size` in all. A cluster becomes
    the sum of its tokens, at the position of its centre: ours, since here the times of the frames stand between tokens.
    """
    V = len(score)
    # kept + C = size, C = THETA · TAU · (V − kept)
    kept = max(0, round((size - THETA * TAU * V) / (1 - THETA * TAU)))
    C = size - kept
    order = score.sort(descending=True, stable=True).indices
    recycled = order[kept : kept + max(C, round(TAU * (V - kept)))]
    hidden, positions = visual.hidden[order[:kept]], visual.positions[order[:kept]]
    if C == 0:
        return hidden, positions
    centres, cluster = density_peaks(visual.hidden[recycled], C)
    sums = torch.zeros(C, hidden.shape[1]).index_add_(0, cluster, visual.hidden[recycled])
    return torch.cat([hidden, sums]), torch.cat([positions, visual.positions[recycled[centres]]])


def density_peaks(x: torch.Tensor, C: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    x (R, H) -> C centres, and for each token the number of its cluster. A centre lies densely among its k nearest
    neighbours and far from what lies more densely (Rodriguez and Laio, 2014); the others join the nearest one.
    """
    distance = torch.cdist(x, x) / x.shape[1] ** 0.5
    k = min(NEIGHBOURS, len(x) - 1)
    nearest = distance.topk(k + 1, largest=False).values[:, 1:] if k > 0 else distance
    density = (-nearest.square().mean(1)).exp()
    order = density.sort(descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(x)))
    denser = rank[None] < rank[:, None]
    apart = distance.masked_fill(~denser, math.inf).min(1).values
    apart[order[0]] = distance.max()
    centres = (density * apart).sort(descending=True, stable=True).indices[:C]
    cluster = distance[:, centres].argmin(1)
    cluster[centres] = torch.arange(C)
    return centres, cluster


def sparse_sizes(N: int, L: int, tokens: float, count: str) -> dict[int, int] | None:
    """
    By layers before, how many visual tokens are left: the same share stays at each pruning layer. The paper drops
    λ · (V − rank of the raters' attention) of V tokens, which is nearly that: the rank is at most the number of raters,
    a hundredth of V. λ follows from what is wanted. None where it cannot be reached.
    """
    layers: list[int] = []
    for place in PRUNED_OF_32:
        layers.append(max([math.ceil(place * L / 32), *(before + 1 for before in layers[-1:])]))
    n, last = len(layers), L - layers[-1]
    if count == BEHIND:
        share = (tokens / N) ** (1 / n)
    else:
        held = [b - a for a, b in zip(layers, [*layers[1:], L])]  # how many layers hold the tokens of each stage
        mean = lambda share: (layers[0] + sum(h * share ** (s + 1) for s, h in enumerate(held))) * N / L
        low, high = 0.0, 1.0
        for _ in range(50):
            low, high = (low, (low + high) / 2) if mean((low + high) / 2) > tokens else ((low + high) / 2, high)
        share = low
    sizes = [round(N * share ** (s + 1)) for s in range(n)]
    if count == MEAN:  # the last stage takes what rounding left
        before = layers[0] * N + sum((b - a) * size for a, b, size in zip(layers, layers[1:], sizes))
        sizes[-1] = round((L * tokens - before) / last)
    return dict(zip(layers, sizes)) if sizes[-1] >= 1 else None
