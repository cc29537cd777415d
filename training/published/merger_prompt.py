"""Prompts of embeddings at positions in time, row and column, and what transformers answers to them."""

import copy
from dataclasses import dataclass, replace

import torch
from merger_graphs import stacked_layers
from reference import NEW_TOKENS
from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True)
class Prompt:
    """
    embeds (1, S, H), positions (3, S), visual (S): which are visual tokens; deepstack (L, 1, S, H), L 0 without it;
    the position of what comes after them.
    """

    embeds: torch.Tensor
    positions: torch.Tensor
    visual: torch.Tensor
    deepstack: torch.Tensor
    next_position: int


def lay_out(model: PreTrainedModel, expanded: list[int], tokens, positions, placeholder: int) -> Prompt:
    """With all visual tokens (1 + L, T, H)."""
    ids = torch.tensor(expanded)
    text = model.get_input_embeddings()(ids)[None]
    prompt = Prompt(text, positions, ids == placeholder, torch.zeros(0, *text.shape), int(positions.max()) + 1)
    return fill(prompt, tokens)


def fill(prompt: Prompt, tokens) -> Prompt:
    """The visual tokens (1 + L, T, H) in their places."""
    embeds = prompt.embeds.clone()
    deepstack = torch.zeros(len(tokens) - 1, *embeds.shape, dtype=embeds.dtype)
    embeds[0, prompt.visual], deepstack[:, 0, prompt.visual] = tokens[0], tokens[1:]
    return replace(prompt, embeds=embeds, deepstack=deepstack)


def thin(prompt: Prompt, kept: list[bool], tokens) -> Prompt:
    """Only the kept of the visual tokens, as `tokens`; every token keeps its place in time, row and column."""
    stays = ~prompt.visual
    stays[prompt.visual] = torch.tensor(kept)
    return fill(part(prompt, stays), tokens)


def behind_largest(prompt: Prompt) -> Prompt:
    """
    The text behind the visual tokens goes on behind the largest of their positions. So it did until transformers 5.3,
    and does in transformers.js; since then time does not count. The two differ where a video is longer than wide.
    """
    end = int(prompt.visual.nonzero().max()) + 1
    positions = prompt.positions.clone()
    positions[:, end:] += positions[:, :end].max() + 1 - positions[0, end]
    return replace(prompt, positions=positions, next_position=int(positions.max()) + 1)


def part(prompt: Prompt, of) -> Prompt:
    return Prompt(
        prompt.embeds[:, of],
        prompt.positions[:, of],
        prompt.visual[of],
        prompt.deepstack[:, :, of],
        prompt.next_position,
    )


def forward(model: PreTrainedModel, prompt: Prompt, cache: DynamicCache | None = None) -> torch.Tensor:
    """Logits (S, V)."""
    stacked = {
        "visual_pos_masks": prompt.visual[None],
        "deepstack_visual_embeds": [features[0, prompt.visual] for features in prompt.deepstack],
    }
    out = model.model.language_model(
        inputs_embeds=prompt.embeds,
        position_ids=prompt.positions[:, None],
        past_key_values=cache,
        use_cache=cache is not None,
        **(stacked if len(prompt.deepstack) else {}),
    )
    return model.lm_head(out.last_hidden_state)[0]


def say(model: PreTrainedModel, ids: list[int], position: int) -> Prompt:
    """Text whose first token stands at `position`."""
    embeds = model.get_input_embeddings()(torch.tensor([ids]))
    positions = torch.arange(position, position + len(ids)).expand(3, -1)
    deepstack = torch.zeros(stacked_layers(model), *embeds.shape)
    return Prompt(embeds, positions, torch.zeros(len(ids), dtype=torch.bool), deepstack, position + len(ids))


def follow(prompt: Prompt, text: Prompt) -> Prompt:
    return Prompt(
        torch.cat([prompt.embeds, text.embeds], 1),
        torch.cat([prompt.positions, text.positions], 1),
        torch.cat([prompt.visual, text.visual]),
        torch.cat([prompt.deepstack, text.deepstack], 2),
        text.next_position,
    )


def greedy(model: PreTrainedModel, prompt: Prompt) -> list[int]:
    """Step by step with a cache, to the end token or NEW_TOKENS."""
    cache, ids = DynamicCache(config=model.config.text_config), []
    step = prompt
    while len(ids) < NEW_TOKENS and model.generation_config.eos_token_id not in ids:
        ids.append(int(forward(model, step, cache)[-1].argmax()))
        step = say(model, ids[-1:], step.next_position)
    return ids


def answer(model: PreTrainedModel, prompt: Prompt) -> dict:
    """Last logits (V) of the prompt, the greedy answer, and how far its closest choice is above float32's noise."""
    ids = greedy(model, prompt)
    told = follow(prompt, say(model, ids[:-1], prompt.next_position))
    logits = forward(model, told)[-len(ids) :]
    assert logits.argmax(-1).tolist() == ids
    true = replace(told, embeds=told.embeds.double(), deepstack=told.deepstack.double())
    exact = forward(copy.deepcopy(model).double(), true)[-len(ids) :]
    best, second = logits.topk(2).values.T
    return {
        "logits": logits[0],
        "ids": ids,
        "gap": float((best - second).min()),
        "noise": float((logits - exact).abs().max()),
    }
