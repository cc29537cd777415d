"""Writes test/fixtures/preprocess: what transformers' image processors (on Pillow) make of a small frame.

The frame is a piece of a NASA film, which is in the public domain. Run, with ffmpeg on PATH:
    python training/make_preprocess_fixture.py CLIP.mp4
"""
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

OUT = Path(__file__).parent.parent / "test/fixtures/preprocess"
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
PROCESSORS = {
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "SiglipImageProcessor": SiglipImageProcessorPil,
    "LlavaImageProcessor": LlavaImageProcessorPil,
}


def clip(edge, **more):
    return {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": edge},
        "resample": 3, "do_center_crop": True, "crop_size": {"height": edge, "width": edge}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
        "do_convert_rgb": True, **more,
    }


def siglip(edge, resample):
    return {
        "image_processor_type": "SiglipImageProcessor", "do_resize": True, "size": {"height": edge, "width": edge},
        "resample": resample, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }


CASES = [
    ("clip-shrink", (160, 90), clip(56)),
    ("clip-shrink-tall", (75, 131), clip(48)),
    ("clip-smaller-crop", (160, 90), clip(64, crop_size={"height": 49, "width": 56})),
    ("clip-enlarge", (75, 43), clip(80)),
    ("siglip-bicubic", (160, 90), siglip(48, 3)),
    ("siglip-bilinear", (160, 90), siglip(48, 2)),
    ("siglip-lanczos", (160, 90), siglip(48, 1)),
    ("siglip-enlarge-one-axis", (75, 43), siglip(56, 3)),
    ("llava-pad", (75, 43), {**clip(40), "image_processor_type": "LlavaImageProcessor", "do_pad": True}),
]


def frame(path, width, height):
    size = f"select=eq(n\\,200),crop=min(iw\\,ih*{width}/{height}):ih,scale={width}:{height}:flags=area"
    raw = ["-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-vf", size, *raw], check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


def save(name, array):
    (OUT / f"{name}.gz").write_bytes(gzip.compress(np.ascontiguousarray(array).tobytes(), 9, mtime=0))


def main(path):
    OUT.mkdir(parents=True, exist_ok=True)
    cases = []
    for size in sorted({size for _, size, _ in CASES}):
        save("x".join(map(str, size)), frame(path, *size))
    for name, (width, height), config in CASES:
        settings = {key: value for key, value in config.items() if key != "image_processor_type"}
        processor = PROCESSORS[config["image_processor_type"]](**settings)
        image = Image.fromarray(frame(path, width, height))
        values = np.asarray(processor(image, return_tensors="np")["pixel_values"])[0]  # (3, H, W)
        mean, std = np.array(config["image_mean"]), np.array(config["image_std"])
        levels = np.rint((values * std[:, None, None] + mean[:, None, None]) * 255).astype(np.uint8)
        save(name, levels.transpose(1, 2, 0))  # (H, W, 3)
        rng = np.random.default_rng(0)
        at = rng.integers(0, values.size, 12)
        samples = [[int(i), float(values.reshape(-1)[i])] for i in at]
        cases.append({"name": name, "input": [width, height], "output": list(values.shape[:0:-1]),
                      "config": config, "samples": samples})
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


main(sys.argv[1])
