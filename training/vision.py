"""What VisionZip reads from the tower: the selected layer's output, its block's keys, its CLS attention."""

import math

import torch
from config import FEATURE_LAYER, GRID, vision_config
from torch import nn
from transformers import CLIPVisionModel


def new_tower() -> CLIPVisionModel:
    config = vision_config()
    config._attn_implementation = "eager"  # on two CPU cores its backward pass is twice as fast as sdpa's
    tower = CLIPVisionModel(config)
    D = config.hidden_size
    rates = torch.exp(torch.arange(0, D // 4) * (-math.log(100.0) / (D // 4)))
    place = torch.arange(GRID)[:, None] * rates  # (12, D/4)
    line = torch.cat([place.sin(), place.cos()], 1)  # (12, D/2)
    rows = line[:, None].expand(GRID, GRID, D // 2)
    columns = line[None].expand(GRID, GRID, D // 2)
    position = tower.embeddings.position_embedding.weight
    with torch.no_grad():
        position[0] = 0
        position[1:] = 0.5 * torch.cat([rows, columns], 2).reshape(GRID * GRID, D)
    return tower


def selected_block(tower: CLIPVisionModel) -> int:
    """Index of the block whose output is hidden_states[FEATURE_LAYER]."""
    return tower.config.num_hidden_layers + FEATURE_LAYER


def keys_and_scores(block: nn.Module, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    `before` (B, N, D), the input of the selected block. Keys (B, N, K): k_proj's output, the mean over heads. Scores
    (B, N - 1): the CLS row of the softmax, summed over heads, over the patches.
    """
    B, N, _ = before.shape
    attention = block.self_attn
    heads, K = attention.num_heads, attention.head_dim
    normed = block.layer_norm1(before)
    q = attention.q_proj(normed[:, 0]).view(B, heads, 1, K)
    k = attention.k_proj(normed).view(B, N, heads, K)
    row = (q @ k.permute(0, 2, 3, 1) * attention.scale).softmax(-1)  # (B, heads, 1, N)
    return k.mean(2), row.sum(1)[:, 0, 1:]
