"""Reads the shards that scripts/training-data.ts writes: frames, the truth of each patch, objects, questions."""

import json
from pathlib import Path

import numpy as np
import torch
from config import COLOURS, IMAGE_MEAN, IMAGE_SIZE, IMAGE_STD, PATCHES, SHAPES

MAX_OBJECTS = 5  # the flash counts as one


class Shard:
    """250 clips with F frames each; pixels stay on disk until they are asked for."""

    def __init__(self, path: Path):
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]
        clips = len(self.rows)
        pixels = np.memmap(path.with_suffix(".pixels"), np.uint8, "r")
        self.frames = pixels.size // (clips * IMAGE_SIZE * IMAGE_SIZE * 3)
        self.pixels = pixels.reshape(clips, self.frames, IMAGE_SIZE, IMAGE_SIZE, 3)
        patches = np.memmap(path.with_suffix(".patches"), np.uint8, "r")
        self.patches = patches.reshape(clips, self.frames, PATCHES)
        self.colours = np.full((clips, self.frames, MAX_OBJECTS), -1)  # -1 where an object is not seen
        self.shapes = np.full((clips, self.frames, MAX_OBJECTS), -1)
        self.centres = np.zeros((clips, self.frames, MAX_OBJECTS, 2), np.float32)
        for c, row in enumerate(self.rows):
            for o, thing in enumerate(row["objects"]):
                for f, centre in enumerate(thing["centres"]):
                    if centre is not None:
                        self.colours[c, f, o] = COLOURS.index(thing["colour"])
                        self.shapes[c, f, o] = SHAPES.index(thing["shape"])
                        self.centres[c, f, o] = centre


def load_shards(folder: str) -> list[Shard]:
    return [Shard(path) for path in sorted(Path(folder).glob("*.jsonl"))]


def to_input(pixels: np.ndarray) -> torch.Tensor:
    """(B, 96, 96, 3) uint8 -> (B, 3, 96, 96) float32, normalised as preprocessor_config.json says."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(IMAGE_MEAN).view(3, 1, 1)) / torch.tensor(IMAGE_STD).view(3, 1, 1)


def disturb(x: torch.Tensor) -> torch.Tensor:
    """What video coding and resizing do to a frame, roughly: brightness, contrast, blur or sharpening, noise."""
    B = x.shape[0]
    x = x * (1 + 0.08 * torch.randn(B, 1, 1, 1)) + 0.08 * torch.randn(B, 3, 1, 1)
    blurred = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    x = x + (torch.rand(B, 1, 1, 1) * 0.8 - 0.3) * (blurred - x)
    return x + torch.rand(B, 1, 1, 1) * 0.05 * torch.randn_like(x)


def sample_stills(shards: list[Shard], rng: np.random.Generator, B: int) -> dict[str, torch.Tensor]:
    """B random frames, half of them mirrored, with the truth of every patch."""
    pixels, patches, colours, shapes, centres = [], [], [], [], []
    for _ in range(B):
        s = shards[rng.integers(len(shards))]
        c, f = rng.integers(len(s.rows)), rng.integers(s.frames)
        image, patch, centre = s.pixels[c, f], s.patches[c, f], s.centres[c, f]
        if rng.random() < 0.5:
            image = image[:, ::-1]
            patch = patch.reshape(12, 12)[:, ::-1].reshape(-1)
            centre = np.stack([1 - centre[:, 0], centre[:, 1]], 1)
        pixels.append(image), patches.append(patch), centres.append(centre)
        colours.append(s.colours[c, f]), shapes.append(s.shapes[c, f])
    return label_patches(np.stack(pixels), np.stack(patches), np.stack(colours), np.stack(shapes), np.stack(centres))


def label_patches(pixels, patches, colours, shapes, centres) -> dict[str, torch.Tensor]:
    """Patch labels: 0 is background. `centre` is that of the object the patch lies on, fractions of the side."""
    objects = torch.from_numpy(patches.astype(np.int64))  # (B, 144)
    of_object = (objects - 1).clamp(min=0)
    colours, shapes = torch.from_numpy(colours), torch.from_numpy(shapes)  # (B, 5), -1 where there is none
    centre = torch.from_numpy(centres).gather(1, of_object[..., None].expand(-1, -1, 2))
    on = objects > 0
    return {
        "x": to_input(pixels),
        "objects": objects,
        "colour": torch.where(on, colours.gather(1, of_object) + 1, 0),
        "shape": torch.where(on, shapes.gather(1, of_object) + 1, 0),
        "centre": centre,
        "pairs": torch.where(colours >= 0, colours * len(SHAPES) + shapes, -1),
    }
