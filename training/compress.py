"""VisionZip (arXiv 2412.04467) on a batch of frames, with CLS; the same rules as src/pipeline/compress.ts."""

import torch
import torch.nn.functional as F


def compress(
    hidden: torch.Tensor, keys: torch.Tensor, scores: torch.Tensor, dominant: int, contextual: int
) -> torch.Tensor:
    """
    hidden (B, N, D) and keys (B, N, K) with CLS at 0, scores (B, N - 1) -> (B, dominant + contextual, D). `dominant`
    counts CLS. Each contextual token is a target plus the mean of the tokens that joined it.
    """
    B, N, D = hidden.shape
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, : dominant - 1] + 1
    kept = torch.zeros(B, N, dtype=torch.bool)
    kept[:, 0] = True
    kept.scatter_(1, order, True)
    chosen = hidden[kept].view(B, dominant, D)  # raster order, CLS first
    R = N - dominant
    if contextual == 0 or R == 0:
        return chosen
    rest, rest_keys = hidden[~kept].view(B, R, D), F.normalize(keys[~kept].view(B, R, -1), dim=-1)
    is_target = torch.zeros(R, dtype=torch.bool)
    is_target[torch.arange(contextual) * max(1, R // contextual)] = True
    similarity = rest_keys[:, ~is_target] @ rest_keys[:, is_target].transpose(1, 2)  # (B, R - contextual, contextual)
    joined = F.one_hot(similarity.argmax(2), contextual).to(hidden.dtype)
    sums = joined.transpose(1, 2) @ rest[:, ~is_target]
    means = sums / joined.sum(1).clamp(min=1)[..., None]
    return torch.cat([chosen, rest[:, is_target] + means], 1)
