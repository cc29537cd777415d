"""Models at the true size of published ones, at random weights, to measure times and memory with.

    python training/published/true_size.py --out DIR [--model llava] [--dtype fp32 int8 q4]
    python training/published/true_size.py --out DIR --model smolvlm2_500m
    python training/published/true_size.py --out DIR --model qwen3_5_0_8b [--dtype vision=fp16 embed=fp16 decoder=q4]

DIR/model is the layout of the hub; `npm run bench:published -- --models DIR` measures the first. Without --dtype its parts have the
types that people use: --dtype with plain names gives every part these.

llava          CLIP ViT-L/14-336 (layer -2, 576 tokens), a projector, a decoder of Qwen2-0.5B's shape. DIR/weights is what
               `from_pretrained` loads, for PyTorch beside it.
smolvlm2_500m  SmolVLM2-500M-Video-Instruct: SigLIP B/16 at 512 pixels, 16 patches in one of 64 tokens, SmolLM2-360M.
qwen3_5_0_8b   Qwen3.5-0.8B: its tower with a merger, three layers of four without softmax.

The sizes of the last two are from memory of their config.json, held against transformers' defaults where it has them: for
SmolVLM2 the encoder's and the decoder's widths, for Qwen3.5 those of the recurrent layers and of the tower. Tokenizers and
templates are those of the tiny models, so a prompt's words take a few tokens more.
"""

import argparse
import dataclasses
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path

import families
import layout
import merger_families
import mergers
import torch
from dtypes import DTYPES
from tokenizers import Tokenizer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    Qwen2Config,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

PARTS = {"vision": "vision_encoder", "embed": "embed_tokens", "decoder": "decoder_model_merged"}
IMAGE, PATCH = 336, 14
SMOL_IMAGE, SMOL_PATCH, SMOL_SCALE = 512, 16, 4
QWEN_PATCH = 16


def special(tokenizer: Tokenizer, **names: str) -> dict:
    return {f"{role}_token_id": tokenizer.token_to_id(token) for role, token in names.items()}


QWEN_TOKENS = {"bos": "<|im_start|>", "eos": "<|im_end|>", "pad": "<|endoftext|>"}


def build_llava(tokenizer: Tokenizer) -> PreTrainedModel:
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=IMAGE,
        patch_size=PATCH,
        projection_dim=768,
    )
    text = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        **special(tokenizer, **QWEN_TOKENS),
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.token_to_id("<image>"),
        image_seq_length=(IMAGE // PATCH) ** 2,
    )
    return LlavaForConditionalGeneration(config)


def build_smolvlm2(tokenizer: Tokenizer) -> PreTrainedModel:
    vision = SmolVLMVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=SMOL_IMAGE,
        patch_size=SMOL_PATCH,
    )
    text = LlamaConfig(
        vocab_size=49_280,
        hidden_size=960,
        intermediate_size=2560,
        num_hidden_layers=32,
        num_attention_heads=15,
        num_key_value_heads=5,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=True,
        **special(tokenizer, bos="<|im_start|>", eos="<end_of_utterance>", pad="<|im_end|>"),
    )
    config = SmolVLMConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.token_to_id("<image>"),
        scale_factor=SMOL_SCALE,
        tie_word_embeddings=True,
    )
    return SmolVLMForConditionalGeneration(config)


def build_qwen3_5(tokenizer: Tokenizer) -> PreTrainedModel:
    text = {
        "vocab_size": 248_320,
        "hidden_size": 1024,
        "intermediate_size": 3584,
        "num_hidden_layers": 24,
        "full_attention_interval": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 16,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e7,
            "partial_rotary_factor": 0.25,
            "mrope_section": [11, 11, 10],
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": True,
        **special(tokenizer, bos="<|endoftext|>", eos="<|im_end|>", pad="<|endoftext|>"),
    }
    vision = {
        "depth": 12,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_heads": 12,
        "patch_size": QWEN_PATCH,
        "spatial_merge_size": 2,
        "out_hidden_size": 1024,
        "num_position_embeddings": 2304,
    }
    places = merger_families.placeholders(tokenizer)
    config = Qwen3_5Config(text_config=text, vision_config=vision, tie_word_embeddings=True, **places)
    return Qwen3_5ForConditionalGeneration(config)


def qwen3_5_files() -> dict[str, dict]:
    """The makers' limits of pixels: of a picture, and of all frames of a video together."""
    patches = {**merger_families.HALVES, **merger_families.SWITCHES, "patch_size": QWEN_PATCH}
    image = {"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}, **patches}
    video = {"size": {"shortest_edge": 4096, "longest_edge": 25_165_824}, **patches}
    nested = merger_families.NESTED
    return {
        "processor_config.json": nested
        | {"image_processor": nested["image_processor"] | image, "video_processor": nested["video_processor"] | video}
    }


@dataclasses.dataclass(frozen=True)
class TrueSize:
    family: families.Family | merger_families.Merger
    save: Callable
    export: Callable
    dtypes: dict[str, list[str]]  # by part
    keeps_weights: bool = False  # for PyTorch


MODELS = {
    "llava": TrueSize(
        dataclasses.replace(
            families.FAMILIES["llava_interleave"],
            build=build_llava,
            image_processor=lambda: CLIPImageProcessorPil(**families.clip_sizes(IMAGE)),
            processor=families.llava_processor(1, "default", patch_size=PATCH),
            template="llava_interleave",
        ),
        families.save,
        layout.export,
        {part: ["fp32", "int8", "q4"] for part in PARTS},
        keeps_weights=True,
    ),
    "smolvlm2_500m": TrueSize(
        dataclasses.replace(
            families.FAMILIES["smolvlm"],
            build=build_smolvlm2,
            image_processor=lambda: SmolVLMImageProcessorPil(
                size={"longest_edge": 2048}, max_image_size={"longest_edge": SMOL_IMAGE}
            ),
            processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 64},
        ),
        families.save,
        layout.export,
        {"vision": ["q4"], "embed": ["fp16"], "decoder": ["q4"]},
    ),
    "qwen3_5_0_8b": TrueSize(
        dataclasses.replace(merger_families.MERGERS["qwen3_5"], build=build_qwen3_5, files=qwen3_5_files()),
        merger_families.save,
        mergers.export,
        {"vision": ["fp16"], "embed": ["fp16"], "decoder": ["q4"]},
    ),
}


def parse_dtypes(words: list[str]) -> dict[str, list[str]]:
    """`fp32 q4` for every part, or `decoder=q4` for one."""
    dtypes: dict[str, list[str]] = {part: [] for part in PARTS}
    for word in words:
        part, _, dtype = word.rpartition("=")
        if dtype not in DTYPES or part not in ("", *PARTS):
            raise SystemExit(f"--dtype wants one of {', '.join(DTYPES)}, or PART=DTYPE; got {word}")
        for name in [part] if part else PARTS:
            dtypes[name].append(dtype)
    return dtypes


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", choices=tuple(MODELS), default="llava")
    parser.add_argument("--dtype", nargs="+", help="types of all parts, or vision=…, embed=…, decoder=…")
    args = parser.parse_args()
    model, out = MODELS[args.model], Path(args.out)
    dtypes = parse_dtypes(args.dtype) if args.dtype else model.dtypes
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        weights = out / "weights" if model.keeps_weights else Path(scratch)
        weights.mkdir(exist_ok=True)
        if not (weights / "config.json").exists():
            with torch.inference_mode():
                model.save(model.family, weights)
        model.export(str(weights), out / "model", {PARTS[part]: of for part, of in dtypes.items()})
    for path in sorted((out / "model" / "onnx").iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")


if __name__ == "__main__":
    main()
