"""What transformers, in float32, makes of a few frames: with all visual tokens, and with VisionZip."""

import copy
from pathlib import Path

import numpy as np
import torch
from compression import compress, margins, pool, run_tower, scores_of, visionzip
from families import Family
from layout import drops_cls, projector, vision_tower
from PIL import Image, ImageDraw
from transformers import (
    Idefics3Processor,
    LlavaNextProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
)

__all__ = [
    "FRAME_SIZE",
    "NOISE_FACTOR",
    "QUESTION",
    "answer",
    "draw_frames",
    "embed",
    "is_clear",
    "make_processor",
    "reference",
    "visionzip",
    "with_newlines",
]

QUESTION = "What does the red rectangle do at the end of the video?"
FRAME_SIZE = (80, 60)
NEW_TOKENS = 32
NOISE_FACTOR = 100  # how far every choice is above the noise of float32


def draw_frames(count: int, seed: int = 1) -> list[Image.Image]:
    """A gradient that turns, behind rectangles that move."""
    rng = np.random.default_rng(seed)
    width, height = FRAME_SIZE
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    boxes = rng.integers([4, 4, 10, 8], [50, 36, 26, 22], (4, 4))
    colours, steps = rng.integers(0, 256, (4, 3)), rng.integers(-6, 7, (4, 2))
    frames = []
    for t in range(count):
        turn = np.cos(t * 0.4) * x + np.sin(t * 0.4) * y
        pixels = np.stack([200 * np.abs(turn), 255 * y, 90 + 120 * x * (1 - y)], -1).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        for (left, top, w, h), colour, (dx, dy) in zip(boxes, colours, steps):
            corner = (int(left + t * dx), int(top + t * dy))
            ImageDraw.Draw(image).rectangle((*corner, corner[0] + int(w), corner[1] + int(h)), tuple(colour.tolist()))
        frames.append(image)
    return frames


def make_processor(family: Family, folder: Path, images):
    """transformers' processor; its settings are those of processor_config.json."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    settings = {key: value for key, value in family.processor.items() if key != "processor_class"}
    settings["chat_template"] = (folder / "chat_template.jinja").read_text()
    name = family.processor["processor_class"]
    if name == "LlavaNextProcessor":
        return LlavaNextProcessor(images, tokenizer, **settings)
    if name == "VideoLlavaProcessor":
        videos = VideoLlavaVideoProcessor(size=images.size, crop_size=images.crop_size)
        return VideoLlavaProcessor(images, videos, tokenizer, **settings)
    if name == "LlavaOnevisionProcessor":
        return LlavaOnevisionProcessor(images, tokenizer, LlavaOnevisionVideoProcessor(size=images.size), **settings)
    if name == "SmolVLMProcessor":
        edge = {"longest_edge": images.max_image_size["longest_edge"]}
        return SmolVLMProcessor(images, tokenizer, SmolVLMVideoProcessor(size=edge, max_image_size=edge), **settings)
    if name == "Idefics3Processor":
        return Idefics3Processor(images, tokenizer, **settings)
    return LlavaProcessor(images, tokenizer, **settings)


def pixels_of(family: Family, images, frames: list[Image.Image]) -> torch.Tensor:
    """(F, 3, S, S) by the image processor that works with Pillow; of crops, the whole frame's."""
    if family.is_smol:
        # Frames are not split. In a video their longest edge goes to the encoder's size at once, as in the video
        # processor; pictures are as large in between as if they were split.
        sizes = {"size": images.max_image_size} if family.medium == "video" else {}
        values = images(frames, do_image_splitting=False, return_tensors="np", **sizes)["pixel_values"][0]
    else:
        made = images(frames, return_tensors="np")
        values = made.get("pixel_values", made.get("pixel_values_images"))  # Video-LLaVA's own name
    values = torch.from_numpy(np.asarray(values, np.float32))
    return values[:, 0] if values.ndim == 5 else values


def messages(family: Family, frames: int) -> list[dict]:
    if family.name == "nanollava":  # its template takes strings
        return [{"role": "user", "content": "<image>\n" * frames + QUESTION}]
    media = [{"type": family.medium}] * (1 if family.medium == "video" else frames)
    return [{"role": "user", "content": [*media, {"type": "text", "text": QUESTION}]}]


def render(family: Family, processor, frames: list[Image.Image], per_frame: int) -> dict:
    """The prompt, its ids with one id a placeholder, and with the placeholders expanded to the visual tokens."""
    if family.name == "smolvlm":
        # The processor's own default template for videos is the family's.
        text = processor.apply_chat_template(messages(family, len(frames)), add_generation_prompt=True)
    else:
        text = processor.apply_chat_template(
            messages(family, len(frames)), chat_template=processor.chat_template, add_generation_prompt=True
        )
    ids = processor.tokenizer(text)["input_ids"]
    if family.medium == "video":
        video = np.stack([np.asarray(frame) for frame in frames])
        times = {
            "fps": 1.0,
            "total_num_frames": len(frames),
            "duration": float(len(frames)),
            "frames_indices": list(range(len(frames))),
        }
        inputs = processor(
            text=text, videos=[video], video_metadata=[times], do_sample_frames=False, return_tensors="pt"
        )
        values = inputs.get("pixel_values_videos", inputs.get("pixel_values"))[0]
    else:
        whole = {"do_image_splitting": False} if family.is_smol else {}
        inputs = processor(text=text, images=frames, return_tensors="pt", **whole)
        values = None
    expanded = inputs["input_ids"][0].tolist()
    if family.name == "llava_next":
        # The processor expands for all crops of an image; a frame is one crop and its newline.
        image = processor.image_token_id
        expanded = [i for i in ids for _ in range(per_frame if i == image else 1)]
    given = {"prompt": text, "promptIds": ids, "expandedIds": expanded, "video_values": values}
    if family.is_smol:
        # The processor writes sentences, with each frame's time, in the place of <video>, and tokens around pictures.
        given["expandedPrompt"] = processor.tokenizer.decode(expanded)
    return given


def all_tokens(family: Family, model, pixel_values) -> torch.Tensor:
    """Transformers' own visual tokens (T, H), newline and all."""
    parts = model.model
    if family.is_smol:
        return torch.cat(parts.get_image_features(pixel_values[None]).pooler_output)
    if family.name == "llava_next":
        # get_image_features insists on crops; its last step has a branch for a single one.
        hidden = vision_tower(model)(pixel_values, output_hidden_states=True).hidden_states[-2][:, 1:]
        features = [one[None] for one in parts.multi_modal_projector(hidden)]
        sizes = torch.tensor([[FRAME_SIZE[1], FRAME_SIZE[0]]] * len(features))
        packed, _ = parts.pack_image_features(features, sizes, "default", image_newline=parts.image_newline)
        return torch.cat(packed)
    if family.medium == "video":
        return parts.get_video_features(pixel_values[None]).pooler_output.flatten(0, 1)
    return torch.cat([*parts.get_image_features(pixel_values).pooler_output])


def with_newlines(family: Family, model, tokens) -> torch.Tensor:
    """(F, T, H) -> the decoder's sequence of visual tokens."""
    if family.newline == "none":
        return tokens.flatten(0, 1)
    newline = model.model.image_newline.to(tokens)
    if family.newline == "after-video":
        return torch.cat([tokens.flatten(0, 1), newline[None]])
    return torch.cat([tokens, newline.expand(len(tokens), 1, -1)], 1).flatten(0, 1)


def embed(model, expanded: list[int], tokens, placeholder: int) -> torch.Tensor:
    """(1, S, H): every run of placeholders holds its share of the visual tokens; all runs are equally long."""
    runs = [i for i, id in enumerate(expanded) if id == placeholder and (i == 0 or expanded[i - 1] != placeholder)]
    shares = iter(tokens.chunk(len(runs)))
    text = model.get_input_embeddings()(torch.tensor(expanded))
    parts = [
        next(shares) if i in runs else text[i : i + 1]
        for i, id in enumerate(expanded)
        if id != placeholder or i in runs
    ]
    return torch.cat(parts)[None]


def check_forward(family: Family, model, expanded: list[int], pixel_values, embeds) -> None:
    """The model's own merge of ids and pixels gives the same logits. LLaVA-NeXT's wants crops, so it cannot."""
    if family.name == "llava_next":
        return
    inputs = {"input_ids": torch.tensor([expanded]), "attention_mask": torch.ones(1, len(expanded), dtype=torch.long)}
    if family.is_smol:
        inputs["pixel_values"] = pixel_values[None]
    elif family.medium == "video":
        inputs["pixel_values_videos"] = pixel_values[None]
    else:
        inputs["pixel_values"] = pixel_values
    assert (model(**inputs).logits - model(inputs_embeds=embeds).logits).abs().max() < 1e-4


def answer(model, embeds) -> dict:
    """Last logits (V) of the prompt, the greedy answer, and how far its closest choice is above float32's noise."""
    attention_mask = torch.ones(embeds.shape[:2], dtype=torch.long)
    ids = model.generate(
        inputs_embeds=embeds, attention_mask=attention_mask, do_sample=False, max_new_tokens=NEW_TOKENS
    )[0]
    told = torch.cat([embeds, model.get_input_embeddings()(ids[None, :-1])], 1)
    logits = model(inputs_embeds=told).logits[0, -len(ids) :]
    assert logits.argmax(-1).tolist() == ids.tolist()
    exact = copy.deepcopy(model).double()(inputs_embeds=told.double()).logits[0, -len(ids) :]
    best, second = logits.topk(2).values.T
    return {
        "logits": logits[0],
        "ids": ids.tolist(),
        "gap": float((best - second).min()),
        "noise": float((logits - exact).abs().max()),
    }


@torch.inference_mode()
def reference(family: Family, model, folder: Path) -> dict:
    """All arrays and all of reference.json, for a model whose settings are in `folder`."""
    frames, images = draw_frames(family.frames), family.image_processor()
    pixel_values = pixels_of(family, images, frames)
    visual = all_tokens(family, model, pixel_values)
    processor = make_processor(family, folder, images)
    rendered = render(family, processor, frames, len(visual) // len(frames))
    shown_as_video = family.medium == "video" and not family.is_smol
    placeholder = model.config.video_token_id if shown_as_video else model.config.image_token_id
    assert rendered["expandedIds"].count(placeholder) == len(visual)
    arrays = {"pixel_values": pixel_values, "visual_all": visual}
    ways = {"none": embed(model, rendered["expandedIds"], visual, placeholder)}
    check_forward(family, model, rendered["expandedIds"], pixel_values, ways["none"])
    video = rendered.pop("video_values")
    facts = {"imageProcessor": type(images).__name__, "question": QUESTION, **rendered, "placeholderId": placeholder}
    if video is not None:
        facts["videoProcessorMaxDifference"] = float((video - pixel_values).abs().max())
    if family.order != "none":
        hidden, attention, keys = run_tower(model, pixel_values)
        own = projector(model)(hidden[:, 1:] if drops_cls(model) else hidden)
        own = with_newlines(family, model, pool(own) if family.order == "project-pool-compress" else own)
        assert (own - visual).abs().max() < 1e-5
        zipped, tokens = compress(family, model, hidden, attention, keys)
        # LLaVA-OneVision's are large, and not what is compressed.
        arrays |= {
            "hidden": hidden[:1] if family.order == "project-pool-compress" else hidden,
            "keys": keys,
            "scores": scores_of(family, attention),
        }
        if keys is hidden:
            del arrays["keys"]
        if family.order == "project-compress":
            del arrays["hidden"]  # which are `visual_all`
        arrays["visual_visionzip"] = with_newlines(family, model, tokens)
        ways["visionzip"] = embed(model, rendered["expandedIds"], arrays["visual_visionzip"], placeholder)
        facts |= {key: [frame[key] for frame in zipped] for key in ("dominantIndices", "contextualMembers")}
        facts["margins"] = margins(family, model, pixel_values, zipped)
    answers = {way: answer(model, embeds) for way, embeds in ways.items()}
    for way, given in answers.items():
        arrays[f"logits_{way}"] = given.pop("logits")
    facts["answers"] = answers
    return {"frames": frames, "arrays": {k: v.numpy() for k, v in arrays.items()}, "facts": facts, "ways": ways}


def is_clear(family: Family, facts: dict) -> bool:
    """Every choice is far above the noise, the answers vary, and compression changes them."""
    answers = facts["answers"].values()
    clear = all(a["gap"] >= NOISE_FACTOR * a["noise"] and len(set(a["ids"])) >= 8 for a in answers)
    if family.order == "none":
        return clear
    m = facts["margins"]
    clear &= m["sameChoices"] and m["scoreGap"] >= NOISE_FACTOR * m["scoreNoise"]
    clear &= m["cosineGap"] >= NOISE_FACTOR * m["cosineNoise"]
    return clear and facts["answers"]["none"]["ids"] != facts["answers"]["visionzip"]["ids"]
