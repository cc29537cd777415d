"""
What transformers makes of still pictures: with LLaVA-NeXT the whole picture squashed, and the crops of a grid. What other
families do is in split_pictures.py.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from compression import compress, margins, run_tower
from families import Family
from layout import vision_tower
from PIL import Image, ImageDraw
from reference import answer, embed, is_clear, make_processor
from transformers.image_processing_utils import select_best_resolution

QUESTION = "What colour is the largest rectangle?"
# Width, height and seed.
PICTURES = {
    # A row of three crops; a small one that is enlarged into a column of two; two by two.
    "llava_next": ((110, 50, 1), (30, 50, 1), (100, 90, 2)),
    # Two rows of three crops; a column of three; a small one that is enlarged into a row of three.
    "smolvlm": ((110, 50, 1), (24, 90, 2), (20, 6, 2)),
    "idefics3": ((40, 110, 2),),  # three rows of two
}


def draw_picture(width: int, height: int, seed: int) -> Image.Image:
    """Rectangles before a gradient that turns with the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    turn = np.cos(seed) * x + np.sin(seed) * y
    pixels = np.stack([230 * np.abs(turn), 60 + 150 * x * y, 255 * (1 - x)], -1).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    for _ in range(5):
        left, top = (int(rng.integers(0, 3 * edge // 4)) for edge in (width, height))
        w, h = (int(rng.integers(edge // 8, edge // 2)) for edge in (width, height))
        ImageDraw.Draw(image).rectangle((left, top, left + w, top + h), tuple(rng.integers(0, 256, 3).tolist()))
    return image


def stitch(crops, columns: int) -> torch.Tensor:
    """The grid's crops (C, side², H), row after row -> (rows · side, columns · side, H)."""
    side = int(crops.shape[1] ** 0.5)
    grid = crops.unflatten(1, (side, side)).unflatten(0, (-1, columns))
    return grid.transpose(1, 2).flatten(2, 3).flatten(0, 1)


def unpad(grid, width: int, height: int) -> torch.Tensor:
    """(rows, columns, H) without what lies beside a picture of this size; an odd row or column too many stays."""
    rows, columns = grid.shape[:2]
    if width / height > columns / rows:
        cut = (rows - int(round(height * (columns / width), 7))) // 2
        return grid[cut : rows - cut]
    cut = (columns - int(round(width * (rows / height), 7))) // 2
    return grid[:, cut : columns - cut]


def pack(tokens, columns: int, width: int, height: int, newline) -> torch.Tensor:
    """(1 + C, N, H), the whole picture first -> (T, H): it, then the grid's rows, a newline after each."""
    grid = unpad(stitch(tokens[1:], columns), width, height)
    rows = torch.cat([grid, newline.expand(len(grid), 1, -1)], 1)
    return torch.cat([tokens[0], rows.flatten(0, 1)])


def arrange(tokens, dominant: list[list[int]], columns: int, side: int) -> torch.Tensor:
    """
    (1 + C, dominant + contextual, H), compressed crop by crop -> (T, H) in the order of the authors' code: all of the
    whole picture; the grid's kept patches, raster order over all crops; each crop's CLS; each crop's contextual tokens.
    """
    places = []
    for crop, kept in enumerate(dominant[1:]):
        for slot, i in enumerate(kept[1:], 1):
            y, x = divmod(i - 1, side)
            places.append((crop // columns * side + y, crop % columns * side + x, crop, slot))
    crops = tokens[1:]
    patches = torch.stack([crops[crop, slot] for *_, crop, slot in sorted(places)])
    return torch.cat([tokens[0], patches, crops[:, 0], crops[:, len(dominant[0]) :].flatten(0, 1)])


def project(model, pixel_values) -> torch.Tensor:
    """(1 + C, 3, S, S) -> every crop's projected patches (1 + C, N, H)."""
    states = vision_tower(model)(pixel_values, output_hidden_states=True).hidden_states
    return model.model.multi_modal_projector(states[model.config.vision_feature_layer][:, 1:])


def check_forward(model, expanded: list[int], pixel_values, image_sizes, embeds) -> None:
    """The model's own merge of ids and crops gives the same logits."""
    ids = torch.tensor([expanded])
    given = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixel_values[None], image_sizes=image_sizes
    )
    assert (given.logits - model(inputs_embeds=embeds).logits).abs().max() < 1e-4


def render(processor, picture: Image.Image) -> tuple[dict, torch.Tensor, torch.Tensor]:
    """The prompt and its ids, one placeholder and as many as the processor writes; pixel_values; image_sizes (1, 2)."""
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=text, images=[picture], return_tensors="pt")
    ids = processor.tokenizer(text)["input_ids"]
    facts = {"prompt": text, "promptIds": ids, "expandedIds": inputs["input_ids"][0].tolist()}
    return facts, inputs["pixel_values"][0].float(), inputs["image_sizes"]


def choices(family: Family, model, pixel_values) -> tuple[dict, torch.Tensor]:
    """VisionZip's choices of each crop, and its tokens (1 + C, dominant + contextual, H)."""
    crops, tokens = compress(family, model, *run_tower(model, pixel_values))
    facts = {key: [crop[key] for crop in crops] for key in ("dominantIndices", "contextualMembers")}
    return facts | {"margins": margins(family, model, pixel_values, crops)}, tokens


def geometry(family: Family, model, picture: Image.Image) -> dict:
    """The picture's size, the best one of the pinpoints, and how many crops that makes a row and a column."""
    (width, height), side = picture.size, model.config.vision_config.image_size
    best_height, best_width = select_best_resolution((height, width), family.image_processor().image_grid_pinpoints)
    return {
        "size": {"width": width, "height": height},
        "bestResolution": {"width": best_width, "height": best_height},
        "grid": {"columns": best_width // side, "rows": best_height // side},
    }


def all_tokens(model, pixel_values, image_sizes, pack_crops: Callable) -> torch.Tensor:
    """Transformers' own visual tokens (T, H), which are the same as packed here."""
    visual = torch.cat(model.model.get_image_features(pixel_values[None], image_sizes).pooler_output)
    own = pack_crops(project(model, pixel_values))
    assert own.shape == visual.shape and (own - visual).abs().max() < 1e-5
    return visual


@torch.inference_mode()
def picture_reference(family: Family, model, folder: Path, picture: Image.Image) -> dict:
    """All arrays and all of reference.json, for a model whose settings are in `folder`."""
    images, vision = family.image_processor(), model.config.vision_config
    shape = geometry(family, model, picture)
    columns = shape["grid"]["columns"]
    pack_crops = partial(pack, columns=columns, **shape["size"], newline=model.model.image_newline)
    rendered, pixel_values, image_sizes = render(make_processor(family, folder, images), picture)
    chosen, tokens = choices(family, model, pixel_values)
    visual = {
        "none": all_tokens(model, pixel_values, image_sizes, pack_crops),
        "visionzip": arrange(tokens, chosen["dominantIndices"], columns, vision.image_size // vision.patch_size),
    }
    made = answer_both(model, shape, rendered, chosen, pixel_values, visual)
    check_forward(model, rendered["expandedIds"], pixel_values, image_sizes, made["ways"]["none"])
    made["facts"] = {"imageProcessor": type(images).__name__, **made["facts"]}
    return {"picture": picture, "pack": pack_crops, **made}


def answer_both(model, shape: dict, rendered: dict, chosen: dict, pixel_values, visual: dict) -> dict:
    """Arrays, facts and what the decoder reads, from a picture's tokens (T, H): `visual` has "none" and "visionzip"."""
    placeholder = model.config.image_token_id
    assert rendered["expandedIds"].count(placeholder) == len(visual["none"])
    ways = {way: embed(model, rendered["expandedIds"], seen, placeholder) for way, seen in visual.items()}
    answers = {way: answer(model, embeds) for way, embeds in ways.items()}
    arrays = {"pixel_values": pixel_values, "visual_all": visual["none"], "visual_visionzip": visual["visionzip"]}
    arrays |= {f"logits_{way}": given.pop("logits") for way, given in answers.items()}
    facts = {**shape, "question": QUESTION, **rendered, "placeholderId": placeholder, **chosen, "answers": answers}
    return {"arrays": {name: array.numpy() for name, array in arrays.items()}, "facts": facts, "ways": ways}


def pictures(family: Family, model, folder: Path, refer: Callable) -> list[dict]:
    """What `refer` makes of every picture, for a model whose settings are in `folder`."""
    drawings = PICTURES[family.name]
    every = [refer(family, model, folder, draw_picture(*drawn)) for drawn in drawings]
    for drawn, made in zip(drawings, every):
        assert is_clear(family, made["facts"]), (
            f"{drawn} is too close to a tie, draw another: {made['facts']['margins']}"
        )
    return every
