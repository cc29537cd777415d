"""Where CLS looks, layer by layer (the figure of VisionZip's section 3.1): a table, and docs/attention.png."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from transformers import CLIPVisionModel, LlavaConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

ROOT = Path(__file__).parent.parent
SHOWN = {1: "layer 1", 3: "layer 3", 5: "layer 5, selected (−2)", 6: "layer 6"}


def load_tower(folder: Path, checkpoint: str) -> CLIPVisionModel:
    tower = CLIPVisionModel(LlavaConfig.from_pretrained(folder).vision_config).eval()
    tower.set_attn_implementation("eager")
    tower.load_state_dict(torch.load(checkpoint)["tower"])
    return tower


def read_frames(shard: Path, size: int) -> np.ndarray:
    """(clips, F, size, size, 3) uint8, on disk."""
    clips = len(shard.read_text().splitlines())
    return np.memmap(shard.with_suffix(".pixels"), np.uint8, "r").reshape(clips, -1, size, size, 3)


@torch.inference_mode()
def cls_attention(tower: CLIPVisionModel, processor, frames: np.ndarray, batch: int = 16) -> np.ndarray:
    """(B, layers, P): how CLS divides its attention over the patches, the mean over heads; each row adds up to 1."""
    rows = []
    for start in range(0, len(frames), batch):
        inputs = processor(list(frames[start : start + batch]), return_tensors="pt")
        attentions = tower(**inputs, output_attentions=True).attentions
        rows.append(torch.stack([a[:, :, 0, 1:].mean(1) for a in attentions], 1))
    rows = torch.cat(rows)
    return (rows / rows.sum(-1, keepdim=True)).numpy()


def share_of_top(attention: np.ndarray, part: float) -> np.ndarray:
    """Share of the attention that the top `part` of the patches gets, the mean over frames: (layers)."""
    top = round(part * attention.shape[-1])
    return np.sort(attention, -1)[..., -top:].sum(-1).mean(0)


def patches_for(attention: np.ndarray, share: float) -> np.ndarray:
    """How many patches it takes to hold `share` of the attention, the median over frames: (layers)."""
    held = np.sort(attention, -1)[..., ::-1].cumsum(-1)
    return np.median((held < share).sum(-1) + 1, axis=0)


def print_table(attention: np.ndarray, selected: int) -> None:
    print("| layer | share of the CLS attention on the top tenth of the patches | patches that hold 90 % of it |")
    print("|---:|---:|---:|")
    for layer, (share, patches) in enumerate(zip(share_of_top(attention, 0.1), patches_for(attention, 0.9)), 1):
        note = " (selected)" if layer == selected else ""
        print(f"| {layer}{note} | {share:.1%} | {patches:.0f} of {attention.shape[-1]} |".replace("%", " %"))


def draw(frames: np.ndarray, attention: np.ndarray, path: Path) -> None:
    """A row a frame: the frame, then each shown layer's attention over it, on a colour scale of its own.

    Underneath, the frame has 16 greys: its noise would be most of the file.
    """
    grid = round(attention.shape[-1] ** 0.5)
    figure, axes = plt.subplots(len(frames), 1 + len(SHOWN), figsize=(9.4, 2.05 * len(frames) + 0.3), squeeze=False)
    for frame, row, maps in zip(frames, axes, attention):
        row[0].imshow(frame, interpolation="nearest")
        for axis, layer in zip(row[1:], SHOWN):
            axis.imshow(frame.mean(-1) // 16 * 16, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            extent = (-0.5, frame.shape[1] - 0.5, frame.shape[0] - 0.5, -0.5)
            heat = maps[layer - 1].reshape(grid, grid)
            axis.imshow(heat, cmap="inferno", alpha=0.65, extent=extent, interpolation="nearest")
            top = np.sort(maps[layer - 1])[-round(heat.size / 10) :].sum()
            axis.set_xlabel(f"top tenth: {100 * top:.0f} %", fontsize=8)
    for axis, title in zip(axes[0], ["frame", *SHOWN.values()]):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.4, h_pad=1.0)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(ROOT / "models/nano"))
    parser.add_argument("--tower", default="training/work/tower.pt")
    parser.add_argument("--shard", default="training/work/clips/validate/shard-0000.jsonl")
    parser.add_argument("--frames", type=int, default=250, help="at most one of each clip of the shard")
    parser.add_argument("--show", type=int, nargs="+", default=[0, 1, 2, 3], help="clips in the picture")
    parser.add_argument("--out", default=str(ROOT / "docs/attention.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    tower = load_tower(Path(args.model), args.tower)
    processor = CLIPImageProcessorPil.from_pretrained(args.model)
    clips = read_frames(Path(args.shard), tower.config.image_size)
    F = clips.shape[1]
    frames = np.stack([clips[c, c % F] for c in range(min(args.frames, len(clips)))])  # one a clip
    print(f"{len(frames)} frames")
    print_table(cls_attention(tower, processor, frames), selected=tower.config.num_hidden_layers - 1)
    shown = np.stack([clips[c, F // 2] for c in args.show])
    draw(shown, cls_attention(tower, processor, shown), Path(args.out))
    print(f"{args.out}: {Path(args.out).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
