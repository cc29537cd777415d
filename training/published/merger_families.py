"""Families whose tower ends in a patch merger, with transformers' own classes: tiny, at random weights, attention not flat.

    python training/published/merger_families.py --family qwen2_vl --out /tmp/qwen2_vl

writes what `from_pretrained` loads.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import vocabulary
from architectures import draw_weights
from families import TEMPLATES, write_json
from mergers import drop_deepstack, is_naflex
from tokenizers import Tokenizer
from transformers import (
    GenerationConfig,
    Lfm2VlConfig,
    Lfm2VlForConditionalGeneration,
    Lfm2VlProcessor,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

ADDED = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
NAFLEX_ADDED = ["<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"]
HIDDEN = 32  # of the decoders; the towers have 24 or 16
PATCH = 4  # the published have 14 or 16: pixels and the weights that read them would be most of a fixture
ROPE_THETA = 100.0  # with so few frequencies, larger ones hardly tell rows from columns
QUERY_BIAS = 7  # makes some keys liked by all queries, else all scores are alike


def tokenizer() -> Tokenizer:
    return vocabulary.qwen_tokenizer(ADDED)


def placeholders(tokens: Tokenizer) -> dict:
    names = {"vision_start": 0, "vision_end": 1, "image": 2, "video": 3}
    return {f"{name}_token_id": tokens.token_to_id(ADDED[i]) for name, i in names.items()}


def decoder(tokens: Tokenizer, sections: list[int]) -> dict:
    """text_config. Without tied embeddings: a random model that is tied repeats its last token."""
    return {
        "vocab_size": tokens.get_vocab_size(),
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": sections},
        "bos_token_id": tokens.token_to_id("<|endoftext|>"),
        "eos_token_id": tokens.token_to_id("<|im_end|>"),
        "pad_token_id": tokens.token_to_id("<|endoftext|>"),
    }


def tower(**settings) -> dict:
    """vision_config."""
    return {"depth": 3, "num_heads": 2, "patch_size": PATCH, "spatial_merge_size": 2, **settings}


def build_qwen2_vl(tokens: Tokenizer) -> PreTrainedModel:
    config = Qwen2VLConfig(
        text_config=decoder(tokens, [2, 3, 3]),
        vision_config=tower(embed_dim=24, hidden_size=HIDDEN, mlp_ratio=2),
        **placeholders(tokens),
    )
    return Qwen2VLForConditionalGeneration(config)


def build_qwen2_5_vl(tokens: Tokenizer) -> PreTrainedModel:
    """Windows of 2 × 2 tokens; the last block, as the published, looks at all."""
    sizes = {"hidden_size": 24, "intermediate_size": 32, "out_hidden_size": HIDDEN}
    config = Qwen2_5_VLConfig(
        text_config=decoder(tokens, [2, 3, 3]),
        vision_config=tower(**sizes, window_size=4 * PATCH, fullatt_block_indexes=[2], tokens_per_second=2),
        **placeholders(tokens),
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def build_qwen3_vl(tokens: Tokenizer) -> PreTrainedModel:
    """The first two blocks of the tower have mergers of their own, for DeepStack."""
    text = decoder(tokens, [4, 2, 2]) | {"head_dim": 16}
    text["rope_parameters"] |= {"mrope_interleaved": True}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "out_hidden_size": HIDDEN, "num_position_embeddings": 25}
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=tower(**sizes, deepstack_visual_indexes=[0, 1]),
        **placeholders(tokens),
    )
    return Qwen3VLForConditionalGeneration(config)


def build_lfm2_vl(tokens: Tokenizer) -> PreTrainedModel:
    """Of the decoder's layers one looks back, the others are convolutions. The tower knows positions of a 4 × 4 square."""
    text = decoder(tokens, []) | {
        "model_type": "lfm2",
        "hidden_size": 24,
        "intermediate_size": 32,
        "block_auto_adjust_ff_dim": False,
        "num_hidden_layers": 3,
        "layer_types": ["conv", "full_attention", "conv"],
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "tie_word_embeddings": False,
    }
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Lfm2VlConfig(
        text_config=text,
        vision_config={
            "model_type": "siglip2_vision_model",
            **sizes,
            "patch_size": PATCH,
            "num_patches": 16,
            "vision_use_head": False,
        },
        image_token_id=tokens.token_to_id("<image>"),
        projector_hidden_size=24,
        tie_word_embeddings=False,
    )
    return Lfm2VlForConditionalGeneration(config)


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
            seed=7,
            template="qwen2_vl",
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
            seed=0,
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
            tokenizer=lambda: vocabulary.lfm_tokenizer(NAFLEX_ADDED),
            bos=vocabulary.LFM_START,
            frames=3,
        ),
    ]
}


@torch.no_grad()
def new_model(family: Merger, seed: int | None = None) -> tuple[PreTrainedModel, Tokenizer]:
    tokens = family.tokenizer()
    model = family.build(tokens).float().eval()
    model.set_attn_implementation("eager")
    token = tokens.token_to_id
    draw_weights(
        model,
        family.seed if seed is None else seed,
        sorted(set(tokens.get_added_tokens_decoder()) - {token("<|im_end|>")}),
    )
    for block in () if is_naflex(model) else model.model.visual.blocks:
        block.attn.qkv.bias[: block.attn.dim] *= QUERY_BIAS
    if not family.deepstack:
        drop_deepstack(model)
    model.generation_config = GenerationConfig(
        bos_token_id=token("<|endoftext|>"), eos_token_id=token("<|im_end|>"), pad_token_id=token("<|endoftext|>")
    )
    return model, tokens


def save(family: Merger, folder: Path, seed: int | None = None) -> PreTrainedModel:
    """What a repository of the hub holds for this family."""
    model, tokens = new_model(family, seed)
    model.save_pretrained(folder)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=tuple(MERGERS), required=True)
    parser.add_argument("--seed", type=int, help="of the weights; default: the one that the fixtures are made with")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    model = save(MERGERS[args.family], folder, args.seed)
    print(f"{sum(p.numel() for p in model.parameters()) * 4 / 1e3:.0f} kB of weights in {folder}")


if __name__ == "__main__":
    main()
