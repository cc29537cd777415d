"""What src/pipeline/over-time does between frames, on one clip: static windows, and a budget a frame by novelty."""

import torch
import torch.nn.functional as F

from compress import compress

CHUNK = 16  # frames that are looked at together
STATIC_COSINE = 0.9  # of a patch with itself in the window's first frame
NOVELTY_SHARE = 0.5  # of the budget, given out by novelty


def find_windows(hidden: torch.Tensor) -> list[tuple[int, int, torch.Tensor]]:
    """(F, P, D) patches -> windows (first, end, static (P)) that leave out the most tokens (HoliTom, arXiv 2505.21334)."""
    count = len(hidden)
    unit = F.normalize(hidden, dim=-1)
    alike = torch.einsum("ipd,jpd->ijp", unit, unit) > STATIC_COSINE
    best, begin = [0] * (count + 1), [0] * (count + 1)
    static: dict[tuple[int, int], torch.Tensor] = {}
    for end in range(1, count + 1):
        best[end], begin[end] = best[end - 1], end - 1
        for first in range(end - 1):
            same = alike[first, first + 1 : end].all(0)
            static[first, end] = same
            saved = best[first] + (end - first - 1) * int(same.sum())
            if saved > best[end]:
                best[end], begin[end] = saved, first
    windows, end = [], count
    while end > 0:
        first = begin[end]
        windows.append((first, end, static.get((first, end), torch.zeros(hidden.shape[1], dtype=torch.bool))))
        end = first
    return windows[::-1]


def share_by_novelty(cls: torch.Tensor, total: float, least: int) -> list[float]:
    """(F, D) -> tokens of each frame: part evenly, part by how unlike its frame is to those before it."""
    unit = F.normalize(cls, dim=-1)
    alike = (unit @ unit.T).tril(-1)
    novelty = 1 - alike.max(1).values
    novelty[0] = novelty[1:].max() if len(cls) > 1 else 1.0
    by_novelty = novelty / novelty.sum().clamp(min=1e-9)
    even = 1 / len(cls)
    return [max(least, total * ((1 - NOVELTY_SHARE) * even + NOVELTY_SHARE * float(n))) for n in by_novelty]


def split_budget(total: int, most: int) -> tuple[int, int]:
    total = max(1, min(total, most))
    contextual = min(int(total * 5 / 32 + 0.5), total - 1)
    return total - contextual, contextual


def compress_rows(hidden, keys, scores, patches: torch.Tensor, total: float) -> torch.Tensor:
    """VisionZip on CLS and some patches (P, bool) of a frame: (T, D)."""
    rows = torch.cat([torch.zeros(1, dtype=torch.long), patches.nonzero()[:, 0] + 1])
    budget = split_budget(int(total + 0.5), len(rows))
    return compress(hidden[None, rows], keys[None, rows], scores[None, patches], *budget)[0]


def compress_clip(hidden, keys, scores, each: float, windows: bool, novelty: bool) -> list[torch.Tensor]:
    """hidden (F, N, D), keys (F, N, K), scores (F, N - 1) -> for each frame its tokens (T, D); `each` a frame on average."""
    out = []
    for start in range(0, len(hidden), CHUNK):
        out += compress_chunk(
            *(part[start : start + CHUNK] for part in (hidden, keys, scores)), each, windows, novelty
        )
    return out


def compress_chunk(hidden, keys, scores, each: float, with_windows: bool, novelty: bool) -> list[torch.Tensor]:
    count, P = len(hidden), scores.shape[1]
    shares = share_by_novelty(hidden[:, 0], each * count, 2) if novelty else [each] * count
    everything = torch.ones(P, dtype=torch.bool)
    if not with_windows:
        return [compress_rows(hidden[f], keys[f], scores[f], everything, shares[f]) for f in range(count)]
    out = []
    for first, end, static in find_windows(hidden[:, 1:]):
        if end - first == 1:
            out.append(compress_rows(hidden[first], keys[first], scores[first], everything, shares[first]))
            continue
        # Tokens in proportion to the patches that are left, beside a CLS a frame.
        S, span = int(static.sum()), end - first
        rate = min(1.0, max(0.0, sum(shares[first:end]) - span) / (S + span * (P - S)))
        merged = [part[first].clone() for part in (hidden, keys, scores)]
        merged[0][1:][static] = hidden[first:end, 1:][:, static].mean(0)
        merged[1][1:][static] = keys[first:end, 1:][:, static].mean(0)
        merged[2][static] = scores[first:end][:, static].mean(0)
        out.append(compress_rows(*merged, everything, 1 + rate * P))
        moving = ~static
        for f in range(first + 1, end):
            out.append(compress_rows(hidden[f], keys[f], scores[f], moving, 1 + rate * int(moving.sum())))
    return out
