"""What transformers, in float32, makes of pairs of frames and of a picture where the tower ends in a patch merger: with
all visual tokens, and with VisionZip behind the merger."""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from compression import visionzip
from merger_families import Merger
from merger_prompt import Prompt, answer, behind_largest, forward, lay_out, thin
from pictures import QUESTION as PICTURE_QUESTION
from pictures import draw_picture
from PIL import Image
from reference import QUESTION, draw_frames
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.vision_utils import get_vision_window_index

PICTURE = (50, 70, 1)  # width, height and seed
TEMPORAL, MEMBERS = 2, 4  # frames of a pair, patches of a token


def make_processor(family: Merger, folder: Path):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    template = (folder / "chat_template.jinja").read_text()
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
    """The prompt, its ids with one id a placeholder, and expanded; the processor's tensors."""
    content = [{"type": medium}, {"type": "text", "text": question}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    if medium == "image":
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
    ids = processor.tokenizer(text)["input_ids"]
    expanded = inputs["input_ids"][0].tolist()
    return {"question": question, "prompt": text, "promptIds": ids, "expandedIds": expanded}, dict(inputs)


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


def run_pairs(model: PreTrainedModel, pixel_values, grid) -> list[dict]:
    """Each pair alone, as a grid of (1, h, w)."""
    count = int(grid[0, 0])
    alone = grid.clone()
    alone[0, 0] = 1
    return [run_tower(model, rows, alone) for rows in pixel_values.chunk(count)]


def compress(family: Merger, pairs: list[dict]) -> list[dict]:
    """VisionZip's choices in each pair; by rows and columns what is left: `keptIndices` (K), tokens (1 + L, K, H)."""
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
    return chosen | {"keptIndices": kept, "tokens": merged[:, kept]}


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


def pixels_of(inputs: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """(pairs · n, 3 · 2 · p · p) and the grid (1, 3)."""
    if "pixel_values" in inputs:
        return inputs["pixel_values"], inputs["image_grid_thw"]
    return inputs["pixel_values_videos"], inputs["video_grid_thw"]


def positions_of(model: PreTrainedModel, inputs: dict) -> torch.Tensor:
    """(3, S)."""
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
    rows = pair_up(processor.image_processor, frames, inputs["video_grid_thw"][0].tolist())
    facts["videoProcessorMaxDifference"] = float((rows - inputs["pixel_values_videos"]).abs().max())
    inputs["pixel_values_videos"] = rows
    return {"drawn": {f"frame-{i}": frame for i, frame in enumerate(frames)}, "facts": facts, "inputs": inputs}


def ways_of(model: PreTrainedModel, seen: dict, pairs: list[dict], zipped: list[dict]) -> dict[str, Prompt]:
    """The prompt with all visual tokens and with VisionZip's."""
    inputs, facts = seen["inputs"], seen["facts"]
    tokens, left = (torch.cat([one["tokens"] for one in of], 1) for of in (pairs, zipped))
    none = lay_out(model, facts["expandedIds"], tokens, positions_of(model, inputs), facts["placeholderId"])
    check_forward(model, inputs, none)
    kept = [i in one["keptIndices"] for one in zipped for i in range(len(pairs[0]["keys"]))]
    ways = {"none": none, "visionzip": thin(none, kept, left)}
    if not torch.equal(behind_largest(none).positions, none.positions):
        ways |= {f"{way}_behind_largest": behind_largest(prompt) for way, prompt in ways.items()}
    return ways


def arrays_of(pixel_values, pairs: list[dict], zipped: list[dict]) -> dict:
    arrays = {
        "pixel_values": pixel_values,
        "keys": torch.stack([pair["keys"] for pair in pairs]),
        "scores": torch.stack([pair["scores"] for pair in pairs]),
    }
    for name, of in (("all", pairs), ("visionzip", zipped)):
        visual, *deepstack = torch.cat([one["tokens"] for one in of], 1)
        arrays[f"visual_{name}"] = visual
        if deepstack:
            arrays[f"deepstack_{name}"] = torch.stack(deepstack)
    return arrays


@torch.inference_mode()
def reference(family: Merger, model: PreTrainedModel, folder: Path, medium: str) -> dict:
    """All arrays and all of reference.json of a "video" or an "image", for a model whose settings are in `folder`."""
    seen = see(family, folder, medium)
    facts, pixel_values, grid = seen["facts"], *pixels_of(seen["inputs"])
    facts["placeholderId"] = getattr(model.config, f"{medium}_token_id")
    pairs = run_pairs(model, pixel_values, grid)
    zipped = compress(family, pairs)
    ways = ways_of(model, seen, pairs, zipped)
    answers = {way: answer(model, prompt) for way, prompt in ways.items()}
    arrays = arrays_of(pixel_values, pairs, zipped)
    arrays |= {f"logits_{way}": given.pop("logits") for way, given in answers.items()}
    facts = {"imageProcessor": Qwen2VLImageProcessorPil.__name__, "pairs": len(pairs), "grid": grid[0].tolist()} | facts
    facts |= {key: [one[key] for one in zipped] for key in ("dominantIndices", "contextualMembers", "keptIndices")}
    facts |= {f"positions_{way}": prompt.positions.tolist() for way, prompt in ways.items()}
    facts |= {"nextPosition": {way: prompt.next_position for way, prompt in ways.items()}}
    facts |= {"margins": margins(family, model, pixel_values, grid, pairs, zipped), "answers": answers}
    arrays = {name: array.numpy() for name, array in arrays.items()}
    return {"drawn": seen["drawn"], "arrays": arrays, "facts": facts, "ways": ways}
