"""What transformers, in float32, makes of pairs of frames and of a picture in a model whose tower ends in a patch merger:
with all visual tokens, and with VisionZip behind the merger."""

import copy
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from compression import visionzip
from merger_families import Merger
from mergers import is_naflex, stacked_layers
from PIL import Image
from pictures import QUESTION as PICTURE_QUESTION
from pictures import draw_picture
from reference import NEW_TOKENS, QUESTION, draw_frames
from transformers import DynamicCache, Lfm2VlImageProcessor, PreTrainedModel, PreTrainedTokenizerFast, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.vision_utils import get_vision_window_index

PICTURE = (50, 70, 1)  # width, height and seed
TEMPORAL, MEMBERS = 2, 4  # frames of a pair, patches of a token


@dataclass(frozen=True)
class Prompt:
    """
    embeds (1, S, H), positions (3, S) or in one axis (1, S), visual (S): which are visual tokens; deepstack (L, 1, S, H),
    L 0 without it; the position of what comes after them.
    """

    embeds: torch.Tensor
    positions: torch.Tensor
    visual: torch.Tensor
    deepstack: torch.Tensor
    next_position: int


def make_processor(family: Merger, folder: Path):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    template = (folder / "chat_template.jinja").read_text()
    if family.video_processor is None:
        return family.processor(Lfm2VlImageProcessor.from_pretrained(folder), tokenizer, chat_template=template)
    images = Qwen2VLImageProcessorPil.from_pretrained(folder)
    videos = family.video_processor.from_pretrained(folder, cap_pixels_per_frame=False)
    return family.processor(images, tokenizer, videos, chat_template=template)


def pair_up(images: Qwen2VLImageProcessorPil, frames: list[Image.Image], grid: list[int]) -> torch.Tensor:
    """(pairs · h · w, 3 · 2 · p · p): video frames by Pillow, in the size of the video processor."""
    _, h, w = grid
    p = images.patch_size
    sized = [frame.resize((w * p, h * p), images.resample) for frame in frames]
    rows = images(sized, do_resize=False, return_tensors="pt")["pixel_values"]  # every frame doubled
    rows = rows.view(len(frames) // TEMPORAL, TEMPORAL, h * w, 3, TEMPORAL, p * p)[:, :, :, :, 0]
    return rows.permute(0, 2, 3, 1, 4).reshape(-1, 3 * TEMPORAL * p * p)


def unwrap(processor, text: str) -> str:
    """
    Qwen3-VL's processor puts a marker of its own around every pair. The template's around all of them went away until
    transformers 5 and stays since; here it goes, as when the models were made.
    """
    if not isinstance(processor, Qwen3VLProcessor):
        return text
    return text.replace("<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>")


def render(processor, medium: str, question: str, seen: list[Image.Image]) -> tuple[dict, dict]:
    """The prompt, its ids with one id a placeholder, and expanded; the processor's tensors. Without video, pictures."""
    knows_video = hasattr(processor, "video_processor")
    media = [{"type": medium}] if knows_video else [{"type": "image"}] * len(seen)
    content = [*media, {"type": "text", "text": question}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    if not knows_video:
        splits = medium == "image"
        inputs = processor(text=text, images=seen, do_image_splitting=splits, return_tensors="pt")
    elif medium == "image":
        inputs = processor(text=text, images=seen, return_tensors="pt")
    else:
        count = len(seen)
        times = {"fps": 1.0, "total_num_frames": count, "duration": float(count), "frames_indices": [*range(count)]}
        video = np.stack([np.asarray(frame) for frame in seen])
        inputs = processor(
            text=unwrap(processor, text),
            videos=[video],
            video_metadata=[times],
            do_sample_frames=False,
            return_tensors="pt",
        )
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    expanded = inputs["input_ids"][0].tolist()
    facts = {"question": question, "prompt": text, "promptIds": ids, "expandedIds": expanded}
    return facts | {"expandedPrompt": processor.tokenizer.decode(expanded)}, dict(inputs)


def raster_order(tower, grid) -> torch.Tensor:
    """(T): where each token, by rows and columns, stands in the tower's last block. Qwen2.5-VL has windows there."""
    if not hasattr(tower, "window_size"):
        return torch.arange(int(grid.prod()) // MEMBERS)
    return get_vision_window_index(grid, tower.spatial_merge_size, tower.window_size, tower.patch_size)[0].argsort()


def look(attention, given, angles, out) -> tuple[torch.Tensor, torch.Tensor]:
    """What each patch receives of the others (n), averaged over heads and queries; keys (n, d), averaged over heads."""
    turn = sys.modules[type(attention).__module__].apply_rotary_pos_emb_vision
    q, k, v = attention.qkv(given).unflatten(1, (3, attention.num_heads, -1)).unbind(1)
    q, k = turn(q, k, *angles)
    weights = torch.einsum("qhd,khd->hqk", q * attention.scaling, k).softmax(-1)
    mixed = attention.proj(torch.einsum("hqk,khd->qhd", weights, v).flatten(1))
    assert (mixed - out).abs().max() < 1e-4
    return weights.mean((0, 1)), k.mean(1)


def run_tower(model: PreTrainedModel, pixel_values, grid) -> dict:
    """
    One pair (n, 3 · 2 · p · p), grid (1, 3) -> by rows and columns: tokens (1 + L, T, H), behind the first DeepStack's;
    keys (T, d), scores (T).
    """
    if is_naflex(model):
        return run_naflex(model, pixel_values, grid)
    tower, seen = model.model.visual, []
    hook = tower.blocks[-1].attn.register_forward_hook(lambda *call: seen.append(call), with_kwargs=True)
    out = tower(pixel_values, grid_thw=grid)
    tokens = torch.stack([out.pooler_output, *getattr(out, "deepstack_features", [])])
    hook.remove()
    attention, (given,), named, out = seen[0]
    scores, keys = look(attention, given, named["position_embeddings"], out)
    order = raster_order(tower, grid)
    return {
        "tokens": tokens,
        "keys": keys.unflatten(0, (-1, MEMBERS)).mean(1)[order],
        "scores": scores.unflatten(0, (-1, MEMBERS)).mean(1)[order],
    }


def run_naflex(model: PreTrainedModel, pixel_values, grid) -> dict:
    """The same of one frame (n, p · p · 3), whose patches stand row by row; a token is made of a square of them."""
    tower, f, seen = model.model.vision_tower, model.config.downsample_factor, []
    layer = tower.encoder.layers[-1].self_attn
    hook = layer.k_proj.register_forward_hook(lambda _m, _i, out: seen.append(out[0]))
    out = model.get_image_features(
        pixel_values[None],
        spatial_shapes=grid[:, 1:],
        pixel_attention_mask=torch.ones(1, len(pixel_values), dtype=torch.long),
        output_attentions=True,
    )
    hook.remove()
    _, h, w = grid[0].tolist()

    def squares(values):
        return values.reshape(h // f, f, w // f, f, -1).mean((1, 3)).flatten(0, 1)

    keys = seen[0].unflatten(1, (layer.num_heads, -1)).mean(1)
    scores = squares(out.attentions[-1][0].mean((0, 1)))[:, 0]
    return {"tokens": out.pooler_output[0][None], "keys": squares(keys), "scores": scores}


def run_pairs(model: PreTrainedModel, pixel_values, grid) -> list[dict]:
    """Each pair alone, as a grid of (1, h, w)."""
    count = int(grid[0, 0])
    alone = grid.clone()
    alone[0, 0] = 1
    return [run_tower(model, rows, alone) for rows in pixel_values.chunk(count)]


def compress(family: Merger, pairs: list[dict]) -> list[dict]:
    """VisionZip's choices in each pair, and what is left: `kept` (K), by rows and columns, and tokens (1 + L, K, H)."""
    return [
        settle(visionzip(pair["tokens"][0], pair["keys"], pair["scores"], family.dominant, family.contextual), pair)
        for pair in pairs
    ]


def settle(chosen: dict, pair: dict) -> dict:
    """A contextual token stands where its target does; DeepStack's are merged as the tokens are."""
    kept = sorted(chosen["dominantIndices"] + [target for target, *_ in chosen["contextualMembers"]])
    merged = pair["tokens"].clone()
    for target, *joined in chosen["contextualMembers"]:
        if joined:
            merged[:, target] += pair["tokens"][:, joined].mean(1)
    return chosen | {"kept": kept, "tokens": merged[:, kept]}


def margins(family: Merger, model: PreTrainedModel, pixel_values, grid, pairs: list[dict], zipped: list[dict]) -> dict:
    """The gaps of scores and cosines, and what float64 moves them by."""
    exact = run_pairs(copy.deepcopy(model).double(), pixel_values.double(), grid)
    true = compress(family, exact)
    cosine = [(a["cosine"] - b["cosine"]).abs() for a, b in zip(zipped, true) if a["cosine"].shape == b["cosine"].shape]
    return {
        "scoreGap": min(one["scoreGap"] for one in zipped),
        "scoreNoise": float(max((a["scores"] - b["scores"]).abs().max() for a, b in zip(pairs, exact))),
        "cosineGap": min(one["cosineGap"] for one in zipped),
        "cosineNoise": float(torch.cat(cosine).max()),
        "sameChoices": all(
            a["dominantIndices"] == b["dominantIndices"] and a["contextualMembers"] == b["contextualMembers"]
            for a, b in zip(zipped, true)
        ),
    }


def lay_out(model: PreTrainedModel, expanded: list[int], tokens, positions, placeholder: int) -> Prompt:
    """With all visual tokens (1 + L, T, H)."""
    ids = torch.tensor(expanded)
    text = model.get_input_embeddings()(ids)
    return fill(Prompt(text[None], positions, ids == placeholder, text[None, None][:0], int(positions.max()) + 1), tokens)


def fill(prompt: Prompt, tokens) -> Prompt:
    """The visual tokens (1 + L, T, H) in their places."""
    embeds = prompt.embeds.clone()
    deepstack = torch.zeros(len(tokens) - 1, *embeds.shape, dtype=embeds.dtype)
    embeds[0, prompt.visual], deepstack[:, 0, prompt.visual] = tokens[0], tokens[1:]
    return replace(prompt, embeds=embeds, deepstack=deepstack)


def thin(prompt: Prompt, kept: list[bool], tokens) -> Prompt:
    """Only the kept of the visual tokens, as `tokens`; with three axes every token keeps its place in time, row and column."""
    stays = ~prompt.visual
    stays[prompt.visual] = torch.tensor(kept)
    left = fill(part(prompt, stays), tokens)
    if len(left.positions) == 3:
        return left
    S = len(left.visual)
    return replace(left, positions=torch.arange(S)[None], next_position=S)


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
        position_ids=prompt.positions[:, None] if len(prompt.positions) == 3 else prompt.positions,
        past_key_values=cache,
        use_cache=cache is not None,
        **(stacked if len(prompt.deepstack) else {}),
    )
    return model.lm_head(out.last_hidden_state)[0]


def say(model: PreTrainedModel, ids: list[int], position: int) -> Prompt:
    """Text whose first token stands at `position`."""
    embeds = model.get_input_embeddings()(torch.tensor([ids]))
    positions = torch.arange(position, position + len(ids)).expand(1 if is_naflex(model) else 3, -1)
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


def positions_of(model: PreTrainedModel, inputs: dict) -> torch.Tensor:
    """(3, S), or in one axis (1, S)."""
    if is_naflex(model):
        return torch.arange(inputs["input_ids"].shape[1])[None]
    names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    given = {name: inputs[name] for name in names if name in inputs}
    return model.model.get_rope_index(**given, attention_mask=inputs["attention_mask"])[0][:, 0]


def check_forward(model: PreTrainedModel, inputs: dict, prompt: Prompt) -> None:
    """The model's own merge of ids and pixels, at its own positions, gives the same logits."""
    given = {name: value for name, value in inputs.items() if name != "video_metadata"}
    assert (model(**given).logits[0] - forward(model, prompt)).abs().max() < 1e-4


def see(family: Merger, folder: Path, medium: str) -> dict:
    """What is drawn by the names of its files, and what the processor makes of it."""
    processor = make_processor(family, folder)
    if medium == "image":
        picture = draw_picture(*PICTURE)
        facts, inputs = render(processor, medium, PICTURE_QUESTION, [picture])
        return {"drawn": {"picture": picture}, "facts": facts, "inputs": inputs}
    frames = draw_frames(family.frames)
    facts, inputs = render(processor, medium, QUESTION, frames)
    drawn = {f"frame-{i}": frame for i, frame in enumerate(frames)}
    if family.video_processor is None:
        return {"drawn": drawn, "facts": facts, "inputs": inputs}
    rows = pair_up(processor.image_processor, frames, inputs["video_grid_thw"][0].tolist())
    facts["videoProcessorMaxDifference"] = float((rows - inputs["pixel_values_videos"]).abs().max())
    inputs["pixel_values_videos"] = rows
    return {"drawn": drawn, "facts": facts, "inputs": inputs}


def patches_of(model: PreTrainedModel, inputs: dict, medium: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """The patches of all pairs, of a video's frames where they go one by one; their grid (1, 3); the placeholder's id."""
    if is_naflex(model):
        shapes = inputs["spatial_shapes"]
        assert (shapes == shapes[0]).all()
        grid = torch.cat([torch.tensor([len(shapes)]), shapes[0]])[None]
        return inputs["pixel_values"][inputs["pixel_attention_mask"].bool()], grid, model.config.image_token_id
    suffix, placeholder = ("_videos", "video") if medium == "video" else ("", "image")
    grid = inputs[f"{placeholder}_grid_thw"]
    return inputs[f"pixel_values{suffix}"], grid, getattr(model.config, f"{placeholder}_token_id")


@torch.inference_mode()
def reference(family: Merger, model: PreTrainedModel, folder: Path, medium: str) -> dict:
    """All arrays and all of reference.json of a "video" or an "image", for a model whose settings are in `folder`."""
    seen = see(family, folder, medium)
    inputs, facts = seen["inputs"], seen["facts"]
    pixel_values, grid, placeholder = patches_of(model, inputs, medium)
    pairs = run_pairs(model, pixel_values, grid)
    zipped = compress(family, pairs)
    tokens = {
        way: torch.cat([one["tokens"] for one in of], 1) for way, of in (("none", pairs), ("visionzip", zipped))
    }
    none = lay_out(model, facts["expandedIds"], tokens["none"], positions_of(model, inputs), placeholder)
    check_forward(model, inputs, none)
    kept = [i in one["kept"] for one in zipped for i in range(len(pairs[0]["keys"]))]
    ways = {"none": none, "visionzip": thin(none, kept, tokens["visionzip"])}
    if not torch.equal(behind_largest(none).positions, none.positions):
        ways |= {f"{way}_behind_largest": behind_largest(prompt) for way, prompt in ways.items()}
    answers = {way: answer(model, prompt) for way, prompt in ways.items()}
    arrays = {
        "pixel_values": pixel_values,
        "keys": torch.stack([pair["keys"] for pair in pairs]),
        "scores": torch.stack([pair["scores"] for pair in pairs]),
    }
    for name, held in (("all", tokens["none"]), ("visionzip", tokens["visionzip"])):
        arrays |= {f"visual_{name}": held[0]} | ({f"deepstack_{name}": held[1:]} if len(held) > 1 else {})
    arrays |= {f"logits_{way}": given.pop("logits") for way, given in answers.items()}
    image_processor = Lfm2VlImageProcessor if is_naflex(model) else Qwen2VLImageProcessorPil
    facts = {"imageProcessor": image_processor.__name__, "pairs": len(pairs), "grid": grid[0].tolist()} | facts
    facts |= {"placeholderId": placeholder, "dominantIndices": [one["dominantIndices"] for one in zipped]}
    facts |= {"contextualMembers": [one["contextualMembers"] for one in zipped]}
    facts |= {"keptIndices": [one["kept"] for one in zipped]}
    facts |= {f"positions_{way}": prompt.positions.tolist() for way, prompt in ways.items()}
    facts |= {"nextPosition": {way: prompt.next_position for way, prompt in ways.items()}}
    facts |= {"margins": margins(family, model, pixel_values, grid, pairs, zipped), "answers": answers}
    return {
        "drawn": seen["drawn"],
        "arrays": {name: array.numpy() for name, array in arrays.items()},
        "facts": facts,
        "ways": ways,
    }
