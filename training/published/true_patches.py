"""Writes test/fixtures/memory: models with as many patches as published ones see, in narrow layers, without their weights.

    python training/published/true_patches.py [--family llava …]

What a tower computes with is mostly its attention, heads × patches × patches, or its maps of features; so heads and patches
(FastVLM: every map) are those of published models, while layers are few and, but for FastVLM's, narrow. Weights of 1 kB and
more are left out of the graphs, and the test fills them with numbers: a family is some tens of kB.
"""

import argparse
import dataclasses
import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import families
import layout
import merger_families
import mergers
import onnx
import torch
from transformers import CLIPVisionConfig, PreTrainedModel, SiglipVisionConfig, TimmWrapperConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

OUT = Path(__file__).parents[2] / "test/fixtures/memory"
STAYS_BYTES = 1024
HEAD = 8  # numbers of a tower's head; published ones have 64 and more
# Of the decoders: heads of usual width, so that a prompt's tensors stand to each other as in published ones.
TEXT = {"hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64}


def vision(cls, image: int, patch: int, heads: int, layers: int = 2, **settings):
    return cls(
        hidden_size=HEAD * heads,
        intermediate_size=4 * HEAD * heads,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=image,
        patch_size=patch,
        **settings,
    )


def with_parts(build: Callable, tower: Callable, **settings) -> Callable:
    """The same architecture, with the vision_config that `tower` makes of the tiny one's and a wider decoder."""

    def wider(tokenizer) -> PreTrainedModel:
        small = build(tokenizer)
        config = small.config
        config.vision_config = tower(config.vision_config)
        for name, value in {**TEXT, **settings}.items():
            setattr(config if name in settings else config.text_config, name, value)
        rope = config.text_config.rope_parameters
        if "mrope_section" in rope:  # of heads of 16 before
            rope["mrope_section"] = [4 * size for size in rope["mrope_section"]]
        return type(small)(config)

    return wider


def merger_tower(patch: int, heads: int) -> Callable:
    def wider(config):
        config.patch_size, config.num_heads = patch, heads
        setattr(config, "embed_dim" if hasattr(config, "embed_dim") else "hidden_size", HEAD * heads)
        config.out_hidden_size = TEXT["hidden_size"]
        config.intermediate_size, config.window_size, config.num_position_embeddings = 4 * HEAD * heads, 112, 2304
        return config

    return wider


def merger(name: str, patch: int, heads: int, least: int, most: int) -> merger_families.Merger:
    """`least` and `most`: pixels, of a frame or of a whole video."""
    family = merger_families.MERGERS[name]

    def enlarge(settings: dict) -> dict:
        limits = {"min_pixels": least, "shortest_edge": least, "max_pixels": most, "longest_edge": most}
        sizes = limits | {"patch_size": patch}
        return {
            key: enlarge(value) if isinstance(value, dict) else sizes.get(key, value) for key, value in settings.items()
        }

    return dataclasses.replace(
        family,
        build=with_parts(family.build, merger_tower(patch, heads)),
        files={file: enlarge(held) for file, held in family.files.items()},
    )


def clip_family() -> families.Family:
    family = families.FAMILIES["llava"]
    tower = lambda _: vision(CLIPVisionConfig, 336, 14, 16, 3, projection_dim=32)  # noqa: E731
    return dataclasses.replace(
        family,
        build=with_parts(family.build, tower),
        image_processor=lambda: CLIPImageProcessorPil(**families.clip_sizes(336)),
    )


def onevision_family() -> families.Family:
    family = families.FAMILIES["llava_onevision"]
    tower = lambda _: vision(SiglipVisionConfig, 384, 14, 16, vision_use_head=False)  # noqa: E731
    grids = [[384, 384], [384, 768], [768, 384], [768, 768]]
    return dataclasses.replace(
        family,
        build=with_parts(family.build, tower),
        image_processor=lambda: LlavaOnevisionImageProcessorPil(**families.square(384), image_grid_pinpoints=grids),
    )


def smolvlm_family() -> families.Family:
    family = families.FAMILIES["smolvlm"]
    tower = lambda _: vision(SmolVLMVisionConfig, 512, 16, 12)  # noqa: E731
    return dataclasses.replace(
        family,
        build=with_parts(family.build, tower),
        image_processor=lambda: SmolVLMImageProcessorPil(
            size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}
        ),
        processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 64},
    )


def fast_vlm_family() -> families.Family:
    """Every stage of FastViTHD at its own width and size, with one layer each."""
    family = families.FAMILIES["fast_vlm"]
    args = {"inference_mode": True, "layers": [1] * 5}
    tower = lambda _: TimmWrapperConfig(  # noqa: E731
        architecture="fastvit_mci3", model_args=args, hidden_size=3072, id2label={}, label2id={}
    )
    return dataclasses.replace(
        family,
        build=with_parts(family.build, tower, image_seq_length=256),
        image_processor=lambda: CLIPImageProcessorPil(
            **families.clip_sizes(1024), image_mean=[0.0] * 3, image_std=[1.0] * 3
        ),
        processor=families.llava_processor(0, None, patch_size=64),
    )


MODELS: dict[str, Callable] = {
    "llava": clip_family,
    "llava_onevision": onevision_family,
    "smolvlm": smolvlm_family,
    "fast_vlm": fast_vlm_family,
    "qwen2_5_vl": lambda: merger("qwen2_5_vl", 14, 16, 128 * 28**2, 768 * 28**2),
    "qwen3_5": lambda: merger("qwen3_5", 16, 12, 4096, 25_165_824),
}


def leave_out_weights(path: Path) -> None:
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= STAYS_BYTES:
            tensor.ClearField("raw_data")
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(model.SerializeToString(), 9, mtime=0))
    path.unlink()


def write(name: str) -> None:
    out, family = OUT / name, MODELS[name]()
    shutil.rmtree(out, ignore_errors=True)
    is_merger = isinstance(family, merger_families.Merger)
    with tempfile.TemporaryDirectory() as source, torch.inference_mode():
        (merger_families if is_merger else families).save(family, Path(source))
        (mergers if is_merger else layout).export(source, out, ["fp32"])
    for path in (out / "onnx").glob("*.onnx"):
        leave_out_weights(path)
    print(f"{name}: {sum(file.stat().st_size for file in out.rglob('*') if file.is_file()) / 1e3:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    for name in parser.parse_args().family:
        write(name)


if __name__ == "__main__":
    main()
