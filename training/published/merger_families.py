"""Families whose tower ends in a patch merger, with transformers' own classes: tiny, at random weights.

    python training/published/merger_families.py --family qwen2_vl --out /tmp/qwen2_vl

writes what `from_pretrained` loads.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from families import TEMPLATES, run_command, write_json
from merger_architectures import (
    PATCH,
    build_lfm2_vl,
    build_qwen2_5_vl,
    build_qwen2_vl,
    build_qwen3_5,
    build_qwen3_vl,
    draw_merger,
    naflex_tokenizer,
    tokenizer,
)
from merger_graphs import drop_deepstack
from tokenizers import Tokenizer
from transformers import (
    GenerationConfig,
    Lfm2VlProcessor,
    PreTrainedModel,
    Qwen2_5_VLProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from vocabulary import LFM_START


def patches(mean, std) -> dict:
    return {
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": list(mean),
        "image_std": list(std),
    }


SWITCHES = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "resample": 3,
    "rescale_factor": 1 / 255,
}
HALVES = patches([0.5] * 3, [0.5] * 3)
IMAGES = {"size": {"shortest_edge": 256, "longest_edge": 900}, **HALVES}
VIDEOS = {"size": {"shortest_edge": 256, "longest_edge": 7200}, **HALVES}  # pixels of all frames together
CLIP_PATCHES = patches(OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)


NAFLEX = {
    "do_image_splitting": True,
    "do_pad": True,
    "downsample_factor": 2,
    "encoder_patch_size": PATCH,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "max_image_tokens": 14,
    "max_pixels_tolerance": 4.0,  # the picture is not cut into tiles, the frames would be
    "max_tiles": 10,
    "min_image_tokens": 4,
    "min_tiles": 2,
    "tile_size": 32,
    "use_thumbnail": True,
}
NESTED = {
    "image_processor": IMAGES | SWITCHES | {"image_processor_type": "Qwen2VLImageProcessor"},
    "processor_class": "Qwen3VLProcessor",
    "video_processor": VIDEOS | SWITCHES | {"video_processor_type": "Qwen3VLVideoProcessor"},
}


@dataclass(frozen=True)
class Merger:
    """How transformers builds one model, and the files beside its weights."""

    name: str
    build: Callable[[Tokenizer], PreTrainedModel]
    processor: type
    video_processor: type | None
    files: dict[str, dict]  # by name
    seed: int
    template: str
    tokenizer: Callable[[], Tokenizer] = tokenizer
    bos: str | None = None
    frames: int = 8
    dominant: int = 5  # of a pair's 12 tokens
    contextual: int = 3
    order: str = "project-compress"
    deepstack: bool = True  # where the class has it
    flat_config: bool = False  # without a text_config of its own


MERGERS = {
    family.name: family
    for family in [
        Merger(
            "qwen2_vl",
            build_qwen2_vl,
            Qwen2VLProcessor,
            Qwen2VLVideoProcessor,
            {
                "preprocessor_config.json": {
                    "min_pixels": 256,
                    "max_pixels": 900,
                    **CLIP_PATCHES,
                    "image_processor_type": "Qwen2VLImageProcessor",
                    "processor_class": "Qwen2VLProcessor",
                }
            },
            seed=10,
            template="qwen2_vl",
            flat_config=True,
        ),
        Merger(
            "qwen2_5_vl",
            build_qwen2_5_vl,
            Qwen2_5_VLProcessor,
            Qwen2VLVideoProcessor,
            {
                "preprocessor_config.json": {
                    "min_pixels": 256,
                    "max_pixels": 900,
                    "size": {"shortest_edge": 256, "longest_edge": 900},
                    **CLIP_PATCHES,
                    **SWITCHES,
                    "image_processor_type": "Qwen2VLImageProcessor",
                    "processor_class": "Qwen2_5_VLProcessor",
                }
            },
            seed=3,
            template="qwen2_vl",
        ),
        Merger(
            "qwen3_vl",
            build_qwen3_vl,
            Qwen3VLProcessor,
            Qwen3VLVideoProcessor,
            {
                "preprocessor_config.json": IMAGES
                | {"image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"},
                "video_preprocessor_config.json": VIDEOS
                | {"video_processor_type": "Qwen3VLVideoProcessor", "processor_class": "Qwen3VLProcessor"},
            },
            seed=5,
            template="qwen3_vl",
        ),
        # As transformers 5 writes a processor: one file, beside the stub that some repositories have.
        Merger(
            "qwen3_vl_plain",
            build_qwen3_vl,
            Qwen3VLProcessor,
            Qwen3VLVideoProcessor,
            {
                "preprocessor_config.json": {"processor_class": "Qwen3VLProcessor"},
                "processor_config.json": NESTED,
            },
            seed=5,
            template="qwen3_vl",
            deepstack=False,
        ),
        Merger(
            "qwen3_5",
            build_qwen3_5,
            Qwen3VLProcessor,
            Qwen3VLVideoProcessor,
            {"processor_config.json": NESTED},
            seed=8,
            template="qwen3_vl",
        ),
        # LFM2-VL and LFM2.5-VL, which know no video: a frame is a picture that is not cut into tiles.
        Merger(
            "lfm2_vl",
            build_lfm2_vl,
            Lfm2VlProcessor,
            None,
            {
                "preprocessor_config.json": NAFLEX
                | SWITCHES
                | {
                    "resample": 2,
                    "image_processor_type": "Lfm2VlImageProcessorFast",
                    "processor_class": "Lfm2VlProcessor",
                }
            },
            seed=0,
            template="lfm2_vl",
            tokenizer=naflex_tokenizer,
            bos=LFM_START,
            frames=3,
        ),
    ]
}


def new_model(family: Merger, seed: int | None = None) -> tuple[PreTrainedModel, Tokenizer]:
    tokens = family.tokenizer()
    end, none = tokens.token_to_id("<|im_end|>"), tokens.token_to_id("<|endoftext|>")
    model = family.build(tokens).float().eval()
    model.set_attn_implementation("eager")
    draw_merger(model, family.seed if seed is None else seed, sorted(set(tokens.get_added_tokens_decoder()) - {end}))
    if not family.deepstack:
        drop_deepstack(model)
    model.generation_config = GenerationConfig(bos_token_id=none, eos_token_id=end, pad_token_id=none)
    return model, tokens


def flatten_config(path: Path) -> None:
    """The language model's settings beside the others, as the first repositories have them."""
    config = json.loads(path.read_text())
    text = {key: value for key, value in config.pop("text_config").items() if key != "model_type"}
    write_json(path, text | config)


def save(family: Merger, folder: Path, seed: int | None = None) -> PreTrainedModel:
    """What a repository of the hub holds for this family."""
    model, tokens = new_model(family, seed)
    model.save_pretrained(folder)
    if family.flat_config:
        flatten_config(folder / "config.json")
    tokens.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "bos_token": family.bos,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)
    for name, held in family.files.items():
        write_json(folder / name, held)
    (folder / "chat_template.jinja").write_text((TEMPLATES / f"{family.template}.jinja").read_text())
    return model


if __name__ == "__main__":
    run_command(__doc__, MERGERS, save)
