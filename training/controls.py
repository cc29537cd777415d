"""
What VisionZip is compared with, each at exactly T tokens a frame; the rules of scripts/eval/controls.ts. Only their
projectors are trained here, so that a control is not judged through a projector that was tuned for something else.
"""

import numpy as np
import torch
from compress import compress
from config import GRID, PATCHES


def take(hidden: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """hidden (B, 1 + P, D) with CLS at 0, patches (B, T) -> (B, T, D)."""
    return hidden[:, 1:].gather(1, patches[..., None].expand(-1, -1, hidden.shape[2]))


def uniform(hidden, keys, scores, T: int) -> torch.Tensor:
    """The patch in the middle of each of T equal stretches in raster order."""
    middles = ((torch.arange(T) + 0.5) * PATCHES / T).floor().long()
    return take(hidden, middles.expand(len(hidden), T))


def random(hidden, keys, scores, T: int) -> torch.Tensor:
    """T different patches in raster order."""
    return take(hidden, torch.rand(len(hidden), PATCHES).argsort(1)[:, :T].sort(1).values)


def cut(length: int, parts: int) -> list[tuple[int, int]]:
    return [(part * length // parts, (part + 1) * length // parts) for part in range(parts)]


def pool(hidden, keys, scores, T: int) -> torch.Tensor:
    """The means of T cells that tile the grid: about sqrt(T) bands of rows, each cut into its part of the T cells."""
    bands = max(-(-T // GRID), min(GRID, int(np.floor(np.sqrt(T) + 0.5))))
    grid = hidden[:, 1:].view(len(hidden), GRID, GRID, -1)
    cells = [
        grid[:, top:bottom, left:right].mean((1, 2))
        for (top, bottom), (first, end) in zip(cut(GRID, bands), cut(T, bands))
        for left, right in cut(GRID, end - first)
    ]
    return torch.stack(cells, 1)


def merge(hidden, keys, scores, T: int) -> torch.Tensor:
    """VisionZip's contextual tokens alone."""
    return compress(hidden, keys, scores, 1, T)[:, 1:]


def dominant(hidden, keys, scores, T: int) -> torch.Tensor:
    """VisionZip's dominant tokens alone, CLS among them."""
    return compress(hidden, keys, scores, T, 0)


CONTROLS = {"uniform": uniform, "random": random, "pool": pool, "merge": merge, "dominant": dominant}
