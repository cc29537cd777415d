"""A LLaVA at the true size of published parts, at random weights, to measure times and memory with.

    python training/published/true_size.py --out DIR [--dtype fp32 int8 q4]

CLIP ViT-L/14-336 (layer -2, 576 tokens), a projector, and a decoder of Qwen2-0.5B's shape. DIR/weights is what
`from_pretrained` loads, DIR/model the layout of the hub. `npm run bench:published -- --models DIR` measures both.
"""

import argparse
import dataclasses
from pathlib import Path

import torch
from families import FAMILIES, llava_processor, save
from layout import export
from tokenizers import Tokenizer
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedModel, Qwen2Config
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

IMAGE, PATCH = 336, 14


def build(tokenizer: Tokenizer) -> PreTrainedModel:
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
        bos_token_id=tokenizer.token_to_id("<|im_start|>"),
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
        pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.token_to_id("<image>"),
        image_seq_length=(IMAGE // PATCH) ** 2,
    )
    return LlavaForConditionalGeneration(config)


FAMILY = dataclasses.replace(
    FAMILIES["llava_interleave"],
    build=build,
    image_processor=lambda: CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE}, crop_size={"height": IMAGE, "width": IMAGE}
    ),
    processor=llava_processor(1, "default", patch_size=PATCH),
    template="llava_interleave",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", nargs="+", default=["fp32", "int8", "q4"])
    args = parser.parse_args()
    weights, layout = Path(args.out) / "weights", Path(args.out) / "model"
    weights.mkdir(parents=True, exist_ok=True)
    if not (weights / "config.json").exists():
        with torch.inference_mode():
            save(FAMILY, weights)
    export(str(weights), layout, args.dtype)
    for path in sorted((layout / "onnx").iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")


if __name__ == "__main__":
    main()
