"""Stage 2: runs the finished tower over every clip once; the tower stays frozen from here on."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from config import IMAGE_SIZE
from data import Shard, disturb, to_input
from loop import PROCESSES, launch
from vision import keys_and_scores, new_tower, selected_block

BATCH = 25


class Tower:
    """Output, keys and scores of the selected block; the block after it does not run."""

    def __init__(self, checkpoint: str):
        self.tower = new_tower().eval()
        self.tower.load_state_dict(torch.load(checkpoint)["tower"])

    @torch.no_grad()
    def encode(self, x: torch.Tensor, fast: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tower = self.tower
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            x = tower.pre_layrnorm(tower.embeddings(x))
            for block in tower.encoder.layers[: selected_block(tower)]:
                x = block(x, None)
            block = tower.encoder.layers[selected_block(tower)]
            hidden = block(x, None)
        return hidden.float(), *keys_and_scores(block, x.float())


class ExportedTower:
    """The same from a model's folder."""

    def __init__(self, folder: str):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(Path(folder, "onnx/vision_tower.onnx")), options)

    def encode(self, x: torch.Tensor, fast: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden, keys, scores = self.session.run(["hidden", "keys", "scores"], {"pixel_values": x.numpy()})
        return torch.from_numpy(hidden), torch.from_numpy(keys), torch.from_numpy(scores)


def cache(tower, path: Path, out: Path, fast: bool) -> None:
    """Writes (clips, F, 145, D + K) bfloat16 (hidden, then keys) and (clips, F, 144) float32 scores."""
    shard = Shard(path)
    frames = shard.pixels.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)
    features, scores = [], []
    for start in range(0, len(frames), BATCH):
        x = to_input(frames[start : start + BATCH])
        hidden, keys, score = tower.encode(disturb(x) if fast else x, fast)
        features.append(torch.cat([hidden, keys], 2).bfloat16().view(torch.int16).numpy())
        scores.append(score.numpy())
    shape = (len(shard.rows), shard.frames)
    np.save(out / f"{path.stem}.scores.npy", np.concatenate(scores).reshape(*shape, -1))
    features = np.concatenate(features)
    np.save(out / f"{path.stem}.part.npy", features.reshape(*shape, *features.shape[1:]))
    (out / f"{path.stem}.part.npy").rename(out / f"{path.stem}.features.npy")


def cache_all(rank: int, args: argparse.Namespace) -> None:
    tower = ExportedTower(args.model) if args.model else Tower(args.tower)
    shards = [path for split in ("validate", "train") for path in sorted((Path(args.data) / split).glob("*.jsonl"))]
    for path in shards[rank : args.most : PROCESSES]:
        out = Path(args.out) / path.parent.name
        out.mkdir(parents=True, exist_ok=True)
        if not (out / f"{path.stem}.features.npy").exists():
            cache(tower, path, out, fast=path.parent.name != "validate")
            print(path.parent.name, path.stem, flush=True)
        (out / path.name).write_text(path.read_text())  # its questions may be newer than the features


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="training/work/clips")
    parser.add_argument("--tower", default="training/work/tower.pt")
    parser.add_argument("--model", help="a model's folder, whose tower is taken instead, e.g. models/nano")
    parser.add_argument("--out", default="training/work/features")
    parser.add_argument("--most", type=int, default=1000, help="shards to do, of all there are")
    return parser.parse_args()


if __name__ == "__main__":
    launch(cache_all, parse_args())
