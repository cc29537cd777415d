"""LLaVA-style families with transformers' own classes: tiny, at random weights, with attention that is not flat.

    python training/published/families.py --family llava --out /tmp/llava

writes what `from_pretrained` loads. Mini-Gemini, which transformers does not know, is in mini_gemini.py.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import vocabulary
from architectures import (
    NEXT_PINPOINTS,
    build_fast_vlm,
    build_idefics3,
    build_llava,
    build_llava_next,
    build_llava_onevision,
    build_llava_siglip,
    build_smolvlm,
    build_video_llava,
    clip_vision,
    draw_weights,
    llama,
    spread,
)
from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import (
    Idefics3ImageProcessorPil,
)
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.siglip.image_processing_pil_siglip import (
    SiglipImageProcessorPil,
)
from transformers.models.smolvlm.image_processing_pil_smolvlm import (
    SmolVLMImageProcessorPil,
)
from transformers.models.video_llava.image_processing_video_llava import (
    VideoLlavaImageProcessor,
)

__all__ = [
    "FAMILIES",
    "Family",
    "clip_vision",
    "draw_weights",
    "llama",
    "new_model",
    "save",
    "spread",
    "template",
    "write_json",
]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Family:
    """How transformers builds one model, and what its visual tokens go through."""

    name: str
    build: Callable[[Tokenizer], PreTrainedModel]
    tokenizer: Callable[[], Tokenizer]
    image_processor: Callable
    processor: dict  # processor_config.json
    seed: int
    tokenizer_class: str = "LlamaTokenizer"
    template: str = ""  # default: the name
    frames: int = 3
    medium: str = "image"  # one placeholder a frame; "video": one for all frames
    cls: bool = False  # the tower has a CLS token
    cls_kept: bool = False  # and it is among the visual tokens
    order: str = "compress-project"  # or "project-pool-compress", "project-compress", or "none": no compression
    newline: str = "none"  # or "per-frame", "after-video"
    dominant: int = 7  # counts CLS where there is one
    contextual: int = 3

    @property
    def is_smol(self) -> bool:
        """Whether several pictures are one input of the tower, each between two tokens of the prompt."""
        return self.name in ("smolvlm", "idefics3")


def clip_sizes(size: int) -> dict:
    return {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}


def square(size: int) -> dict:
    return {"size": {"height": size, "width": size}}


def llava_processor(additional: int, strategy: str | None, **settings) -> dict:
    return {
        "processor_class": "LlavaProcessor",
        "image_token": "<image>",
        "num_additional_image_tokens": additional,
        "patch_size": 6,
        "vision_feature_select_strategy": strategy,
        **settings,
    }


FAMILIES = {
    family.name: family
    for family in [
        Family(
            "llava",
            build_llava,
            lambda: vocabulary.llama_tokenizer(["<image>", "<pad>"]),
            lambda: CLIPImageProcessorPil(**clip_sizes(42)),
            llava_processor(1, "default"),
            seed=2,
            cls=True,
        ),
        Family(
            "llava_next",
            build_llava_next,
            lambda: vocabulary.llama_tokenizer(["<image>", "<pad>"]),
            lambda: LlavaNextImageProcessorPil(**clip_sizes(42), image_grid_pinpoints=NEXT_PINPOINTS),
            llava_processor(1, "default", processor_class="LlavaNextProcessor"),
            seed=3,
            template="llava",
            cls=True,
            newline="per-frame",
        ),
        Family(
            "video_llava",
            build_video_llava,
            lambda: vocabulary.llama_tokenizer(["<image>", "<video>", "<pad>"]),
            lambda: VideoLlavaImageProcessor(**clip_sizes(36)),
            llava_processor(1, "default", processor_class="VideoLlavaProcessor", video_token="<video>"),
            seed=7,
            template="llava",
            frames=8,
            medium="video",
            cls=True,
            cls_kept=True,
            dominant=6,
            contextual=2,
        ),
        Family(
            "llava_onevision",
            build_llava_onevision,
            lambda: vocabulary.qwen_tokenizer(["<image>", "<video>"]),
            lambda: LlavaOnevisionImageProcessorPil(
                **square(54), image_grid_pinpoints=[[54, 54], [54, 108], [108, 54], [108, 108]]
            ),
            {
                "processor_class": "LlavaOnevisionProcessor",
                "image_token": "<image>",
                "video_token": "<video>",
                "num_image_tokens": 729,
                "vision_feature_select_strategy": "full",
                "vision_aspect_ratio": "anyres_max_9",
            },
            seed=4,
            tokenizer_class="Qwen2Tokenizer",
            frames=2,
            medium="video",
            order="project-pool-compress",
            newline="after-video",
            dominant=16,
            contextual=4,
        ),
        Family(
            "llava_interleave",
            partial(build_llava_siglip, layers=3, feature_layer=-1),
            lambda: vocabulary.qwen_tokenizer(["<image>"]),
            lambda: SiglipImageProcessorPil(**square(42)),
            llava_processor(0, "full"),
            seed=2,
            tokenizer_class="Qwen2Tokenizer",
        ),
        # nanoLLaVA's code is remote and deletes SigLIP's last layer, which is feature layer -2 here. That the ONNX
        # export's config says model_type "llava" with a text_config and image_token_index is a guess: transformers.js
        # reads the cache's shape of no other spelling ("llava-qwen2", the original's, is unknown to it).
        Family(
            "nanollava",
            partial(build_llava_siglip, layers=4, feature_layer=-2),
            lambda: vocabulary.qwen_tokenizer(["<image>"]),
            lambda: SiglipImageProcessorPil(**square(42)),
            llava_processor(0, "full"),
            seed=1,
            tokenizer_class="Qwen2Tokenizer",
        ),
        Family(
            "fast_vlm",
            build_fast_vlm,
            lambda: vocabulary.qwen_tokenizer(["<image>"]),
            lambda: CLIPImageProcessorPil(**clip_sizes(56), image_mean=[0.0] * 3, image_std=[1.0] * 3),
            llava_processor(0, None, patch_size=8),
            seed=7,
            tokenizer_class="Qwen2Tokenizer",
        ),
        Family(
            "smolvlm",
            build_smolvlm,
            lambda: vocabulary.smol_tokenizer(vocabulary.smol_tokens()),
            lambda: SmolVLMImageProcessorPil(size={"longest_edge": 96}, max_image_size={"longest_edge": 32}),
            {"processor_class": "SmolVLMProcessor", "image_seq_len": 16},
            seed=1,
            tokenizer_class="GPT2Tokenizer",
            medium="video",
            order="project-compress",
            dominant=6,
            contextual=2,
        ),
        Family(
            "idefics3",
            build_idefics3,
            lambda: vocabulary.smol_tokenizer(vocabulary.smol_tokens()),
            lambda: Idefics3ImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16}),
            {"processor_class": "Idefics3Processor", "image_seq_len": 16},
            seed=6,
            tokenizer_class="GPT2Tokenizer",
            order="project-compress",
            dominant=6,
            contextual=2,
        ),
    ]
}


def new_model(family: Family, seed: int | None = None) -> tuple[PreTrainedModel, Tokenizer]:
    tokenizer = family.tokenizer()
    model = family.build(tokenizer).float().eval()
    model.set_attn_implementation("eager")
    text = model.config.text_config
    special = {token for token in tokenizer.get_added_tokens_decoder()} - {text.eos_token_id}
    draw_weights(model, family.seed if seed is None else seed, sorted(special))
    model.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    )
    return model, tokenizer


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def save(family: Family, folder: Path, seed: int | None = None) -> PreTrainedModel:
    """What a repository of the hub holds for this family."""
    model, tokenizer = new_model(family, seed)
    text = model.config.text_config
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    token = tokenizer.id_to_token
    settings = {
        "tokenizer_class": family.tokenizer_class,
        "bos_token": token(text.bos_token_id),
        "eos_token": token(text.eos_token_id),
        "pad_token": token(text.pad_token_id),
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
    }
    if family.tokenizer_class == "LlamaTokenizer":
        settings |= {"unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False}
    write_json(folder / "tokenizer_config.json", settings)
    family.image_processor().save_pretrained(folder)
    write_json(folder / "processor_config.json", family.processor)
    (folder / "chat_template.jinja").write_text(template(family))
    return model


def template(family: Family) -> str:
    return (TEMPLATES / f"{family.template or family.name}.jinja").read_text()


def run_command(description: str, families: dict, save: Callable) -> None:
    """The command line of this file and of merger_families.py: `save(family, folder, seed)` returns the model."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--family", choices=tuple(families), required=True)
    parser.add_argument("--seed", type=int, help="of the weights; default: the one that the fixtures are made with")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    model = save(families[args.family], folder, args.seed)
    print(f"{sum(p.numel() for p in model.parameters()) * 4 / 1e3:.0f} kB of weights in {folder}")


if __name__ == "__main__":
    run_command(__doc__, FAMILIES, save)
