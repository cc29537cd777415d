"""VisionZip written here in PyTorch from its published description (arXiv 2412.04467, section 3.2 and appendix A.2)."""

import copy
import math

import torch
import torch.nn.functional as F
from families import Family
from layout import has_connector, is_convolutional, projector, vision_tower
from transformers import PreTrainedModel


def run_tower(model: PreTrainedModel, pixel_values):
    """
    hidden (F, N, D), attention (F, heads, N, N), keys (F, N, K) of the selected layer and its block. Where no attention
    is over these tokens, scores (F, N) are in its place, by a rule of our own and not the paper's: the cosine of a
    token and the mean of its frame's. Keys are then the tokens themselves.
    """
    if has_connector(model):
        return run_connector(model, pixel_values)
    tower, layer = vision_tower(model), model.config.vision_feature_layer
    if is_convolutional(model):
        hidden = tower(pixel_values).last_hidden_state.flatten(2).transpose(1, 2)
        return hidden, F.cosine_similarity(hidden, hidden.mean(1, keepdim=True), dim=-1), hidden
    states, keys = run_block(tower, layer, pixel_values)
    return states.hidden_states[layer], states.attentions[layer], keys


def run_block(tower, layer: int, pixel_values) -> tuple:
    """The tower's outputs, and the keys (F, N, K) of one of its blocks, averaged over heads."""
    seen = []
    hook = tower.encoder.layers[layer].self_attn.k_proj.register_forward_hook(lambda _m, _i, out: seen.append(out))
    states = tower(pixel_values, output_hidden_states=True, output_attentions=True)
    hook.remove()
    return states, seen[0].unflatten(2, (tower.config.num_attention_heads, -1)).mean(2)


def run_connector(model: PreTrainedModel, pixel_values):
    """
    SmolVLM: hidden (F, N, H), scores (F, N), keys (F, N, K) of the visual tokens, each of which the connector makes of
    scale × scale patches. Compressing behind it is our rule and not the paper's: a token's score is the mean of what its
    patches receive in the last block, its key the mean of theirs.
    """
    states, keys = run_block(vision_tower(model), -1, pixel_values)
    scores = states.attentions[-1].mean((1, 2))[..., None]
    scale, connector = model.config.scale_factor, model.model.connector
    return connector(states.last_hidden_state), average(scores, scale)[..., 0], average(keys, scale)


def average(grid, scale: int) -> torch.Tensor:
    """(F, side², C) -> (F, (side / scale)², C): the mean of each block of scale × scale, blocks in raster order."""
    side = math.isqrt(grid.shape[1])
    blocks = grid.unflatten(1, (side // scale, scale, side // scale, scale))
    return blocks.mean((2, 4)).flatten(1, 2)


def scores_of(family: Family, attention) -> torch.Tensor:
    """(F, N − 1): what CLS gives, summed over heads; without CLS (F, N): what each token receives, on average."""
    if attention.ndim == 2:  # scores already
        return attention
    return attention[:, :, 0, 1:].sum(1) if family.cls else attention.mean((1, 2))


def visionzip(hidden, keys, scores, dominant: int, contextual: int) -> dict:
    """One frame: hidden (N, D), keys (N, K), scores (N), or (N − 1) with CLS. Gives the choices with their margins."""
    N = len(hidden)
    cls = N - len(scores)
    ranked, order = scores.sort(descending=True, stable=True)
    kept = [*range(cls), *sorted((order[: dominant - cls] + cls).tolist())]
    rest = [i for i in range(N) if i not in set(kept)]
    targets = [rest[c * max(1, len(rest) // contextual)] for c in range(contextual)]
    members = [[target] for target in targets]
    others = [i for i in rest if i not in targets]
    cosine = F.normalize(keys[others], dim=-1) @ F.normalize(keys[targets], dim=-1).T
    for i, best in zip(others, cosine.argmax(1).tolist()):
        members[best].append(i)
    best, second = cosine.topk(2).values.T
    merged = [hidden[t] + (hidden[joined].mean(0) if joined else 0) for t, *joined in members]
    return {
        "tokens": torch.cat([hidden[kept], torch.stack(merged)]),
        "dominantIndices": kept,
        "contextualMembers": members,
        "cosine": cosine,
        "scoreGap": float(ranked[dominant - cls - 1] - ranked[dominant - cls]),
        "cosineGap": float((best - second).min()),
    }


def pool(grid, side: int = 27) -> torch.Tensor:
    """(F, side², C) -> (F, ceil(side / 2)², C), as LLaVA-OneVision pools a video frame."""
    x = grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    return F.interpolate(x, size=[math.ceil(side / 2)] * 2, mode="bilinear").flatten(2).transpose(1, 2)


def in_raster_order(frame: dict) -> torch.Tensor:
    """What was kept of a frame, (dominant + contextual, D); a contextual token stands at its target's place."""
    places = [*frame["dominantIndices"], *(target for target, *_ in frame["contextualMembers"])]
    return frame["tokens"][torch.tensor(places).argsort()]


def compress(family: Family, model, hidden, attention, keys) -> tuple[list[dict], torch.Tensor]:
    """Per frame VisionZip's choices, and the tokens (F, dominant + contextual, H) as the decoder sees them."""
    scores, project = scores_of(family, attention), projector(model)
    if family.order == "project-pool-compress":
        hidden, keys, scores = pool(project(hidden)), pool(keys), pool(scores[..., None])[..., 0]
    frames = [visionzip(*frame, family.dominant, family.contextual) for frame in zip(hidden, keys, scores)]
    if family.order == "project-compress":
        return frames, torch.stack([in_raster_order(frame) for frame in frames])
    tokens = torch.stack([frame["tokens"] for frame in frames])
    return frames, tokens if family.order == "project-pool-compress" else project(tokens)


def margins(family: Family, model, pixel_values, frames: list[dict]) -> dict:
    """The gaps of scores and cosines, and what float64 moves them by."""
    exact, values = copy.deepcopy(model).double(), pixel_values.double()
    true, _ = compress(family, exact, *run_tower(exact, values))
    score, true_score = (scores_of(family, run_tower(*of)[1]) for of in ((model, pixel_values), (exact, values)))
    cosine = [
        (a["cosine"] - b["cosine"]).abs().max() for a, b in zip(frames, true) if a["cosine"].shape == b["cosine"].shape
    ]
    return {
        "scoreGap": min(frame["scoreGap"] for frame in frames),
        "scoreNoise": float((score - true_score).abs().max()),
        "cosineGap": min(frame["cosineGap"] for frame in frames),
        "cosineNoise": float(max(cosine)),
        "sameChoices": all(
            a["dominantIndices"] == b["dominantIndices"] and a["contextualMembers"] == b["contextualMembers"]
            for a, b in zip(frames, true)
        ),
    }
