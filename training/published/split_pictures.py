"""What transformers makes of still pictures with SmolVLM, of either version: the crops of a grid, then the whole picture."""

from pathlib import Path

import numpy as np
import torch
from families import Family
from PIL import Image
from pictures import QUESTION, answer_both, choices
from reference import all_tokens, check_forward, make_processor
from transformers.models.idefics3.image_processing_pil_idefics3 import get_resize_output_image_size


def geometry(images, picture: Image.Image) -> dict:
    """The picture's size, that with its longest edge at `size`, and how many crops make a row and a column."""
    width, height = picture.size
    longest = images.size["longest_edge"]
    new_height, new_width = get_resize_output_image_size(np.asarray(picture).transpose(2, 0, 1), longest)
    made = images([picture], return_row_col_info=True, return_tensors="np")
    return {
        "size": {"width": width, "height": height},
        "resized": {"width": new_width, "height": new_height},
        "grid": {"columns": made["cols"][0][0], "rows": made["rows"][0][0]},
    }


def render(processor, picture: Image.Image) -> tuple[dict, torch.Tensor]:
    """The prompt and its ids, with one placeholder and as the processor expands them; pixel_values (C + 1, 3, S, S)."""
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=text, images=[picture], return_tensors="pt")
    assert inputs["pixel_attention_mask"].all()  # crops have the encoder's size
    expanded = inputs["input_ids"][0].tolist()
    facts = {"prompt": text, "promptIds": processor.tokenizer(text)["input_ids"], "expandedIds": expanded}
    return facts | {"expandedPrompt": processor.tokenizer.decode(expanded)}, inputs["pixel_values"][0].float()


@torch.inference_mode()
def split_reference(family: Family, model, folder: Path, picture: Image.Image) -> dict:
    """All arrays and all of reference.json, for a model whose settings are in `folder`. Each crop is compressed alone."""
    images = family.image_processor()
    rendered, pixel_values = render(make_processor(family, folder, images), picture)
    chosen, tokens = choices(family, model, pixel_values)
    visual = {"none": all_tokens(family, model, pixel_values), "visionzip": tokens.flatten(0, 1)}
    made = answer_both(model, geometry(images, picture), rendered, chosen, pixel_values, visual)
    check_forward(family, model, rendered["expandedIds"], pixel_values, made["ways"]["none"])
    made["facts"] = {"imageProcessor": type(images).__name__, **made["facts"]}
    return {"picture": picture, "pack": lambda features: features.flatten(0, 1), **made}
