"""What transformers makes of frames and of a picture in LFM2-VL, in the terms of merger_reference.py."""

from pathlib import Path

import torch
from merger_families import Merger
from PIL import Image
from transformers import Lfm2VlImageProcessor, PreTrainedModel, PreTrainedTokenizerFast


def see(family: Merger, folder: Path, medium: str, question: str, seen: list[Image.Image]) -> dict:
    """The prompt, its ids with one id a placeholder, and expanded; the processor's tensors. Frames are not cut into tiles."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    template = (folder / "chat_template.jinja").read_text()
    processor = family.processor(Lfm2VlImageProcessor.from_pretrained(folder), tokenizer, chat_template=template)
    content = [*[{"type": "image"}] * len(seen), {"type": "text", "text": question}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=text, images=seen, do_image_splitting=medium == "image", return_tensors="pt")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    expanded = inputs["input_ids"][0].tolist()
    facts = {"question": question, "prompt": text, "promptIds": ids, "expandedIds": expanded}
    return {"facts": facts, "inputs": dict(inputs)}


def pixels_of(inputs: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """(F · n, p · p · 3) of frames of one shape, without padding, and their grid (1, 3): F, h, w."""
    shapes = inputs["spatial_shapes"]
    assert (shapes == shapes[0]).all()
    rows = inputs["pixel_values"][inputs["pixel_attention_mask"].bool()]
    return rows, torch.tensor([[len(shapes), *shapes[0].tolist()]])


def run_tower(model: PreTrainedModel, pixel_values, grid) -> dict:
    """
    One frame (n, p · p · 3), its grid (1, 3) -> tokens (1, T, H), keys (T, d), scores (T), each of which is of a square
    of patches: the mean of what they receive in the last block, over heads and queries, and of their keys, over heads.
    """
    f, (_, h, w), seen = model.config.downsample_factor, grid[0].tolist(), []
    attention = model.model.vision_tower.encoder.layers[-1].self_attn
    hook = attention.k_proj.register_forward_hook(lambda _m, _i, out: seen.append(out[0]))
    mask = torch.ones(1, len(pixel_values), dtype=torch.long)
    given = {"pixel_values": pixel_values[None], "pixel_attention_mask": mask, "spatial_shapes": grid[:, 1:]}
    out = model.get_image_features(**given, output_attentions=True)
    hook.remove()
    keys = seen[0].unflatten(1, (attention.num_heads, -1)).mean(1)
    scores = out.attentions[-1][0].mean((0, 1))[:, None]
    keys, scores = (x.reshape(h // f, f, w // f, f, -1).mean((1, 3)).flatten(0, 1) for x in (keys, scores))
    return {"tokens": out.pooler_output[0][None], "keys": keys, "scores": scores[:, 0]}
