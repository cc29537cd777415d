"""Stage 1: the vision tower, on stills. Contrast on CLS (last and selected layer), and what each patch shows."""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from config import COLOURS, FEATURE_LAYER, SHAPES
from data import MAX_OBJECTS, disturb, load_shards, sample_stills
from loop import Trainer, launch
from torch import nn
from vision import keys_and_scores, new_tower, selected_block

TOP_PATCHES = 12


class Teacher(nn.Module):
    """The heads that only training needs."""

    def __init__(self, D: int, E: int = 64):
        super().__init__()
        pairs = len(COLOURS) * len(SHAPES)
        self.pair = nn.EmbeddingBag(pairs + 1, D, mode="sum", padding_idx=pairs)
        self.describe = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, E))
        self.see = nn.ModuleList([nn.Linear(D, E), nn.Linear(D, E)])
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.colour = nn.Linear(D, len(COLOURS) + 1)
        self.shape = nn.Linear(D, len(SHAPES) + 1)
        self.centre = nn.Linear(D, 2)

    def contrast(self, cls: list[torch.Tensor], pairs: torch.Tensor) -> torch.Tensor:
        """InfoNCE in both directions; frames with the same set of objects count as the same text."""
        pairs = pairs.sort(1).values
        same = (pairs[:, None] == pairs[None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        text = F.normalize(self.describe(self.pair(pairs % self.pair.num_embeddings)), dim=1)
        loss = 0.0
        for see, token in zip(self.see, cls):
            logits = F.normalize(see(token), dim=1) @ text.T * self.sharpness.exp()
            loss = loss + F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
        return loss / 4

    def patches(self, hidden: torch.Tensor, truth: dict) -> torch.Tensor:
        """Colour, shape and place from each patch token (B, 144, D); objects and background weigh the same."""
        on = truth["objects"] > 0
        loss = 2.0 * F.l1_loss(self.centre(hidden[on]).float(), truth["centre"][on])
        for head, label in ((self.colour, truth["colour"]), (self.shape, truth["shape"])):
            each = F.cross_entropy(head(hidden).float().transpose(1, 2), label, reduction="none")
            loss = loss + each[on].mean() + 0.5 * each[~on].mean()
        return loss


def attention_loss(scores: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    """-log of the share of CLS attention on objects, and of each object's part against an equal one (capped)."""
    some = (objects > 0).any(1)
    scores, objects = scores[some], objects[some]
    share = scores / scores.sum(1, keepdim=True)
    loss = -torch.log((share * (objects > 0)).sum(1) + 1e-4).mean()
    masks = [objects == o for o in range(1, MAX_OBJECTS + 1)]
    counts = sum(mask.any(1).float() for mask in masks)
    parts = [((share * mask).sum(1) * counts)[mask.any(1)].clamp(max=1) for mask in masks]
    return loss - torch.log(torch.cat(parts) + 1e-2).mean()


def forward(tower, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        states = tower(x, output_hidden_states=True).hidden_states
    block = selected_block(tower)
    return states, keys_and_scores(tower.encoder.layers[block], states[block].float())[1]


@torch.no_grad()
def validate(tower, teacher, shards) -> str:
    """On unseen clips: patch accuracies, the share of CLS attention on objects, objects hit by a top patch."""
    rng, sums, n, B = np.random.default_rng(0), np.zeros(7), 4, 64
    for _ in range(n):
        truth = sample_stills(shards, rng, B)
        states, scores = forward(tower, truth["x"])
        hidden = states[FEATURE_LAYER][:, 1:].float()
        on = truth["objects"] > 0
        colour = teacher.colour(hidden).argmax(-1) == truth["colour"]
        shape = teacher.shape(hidden).argmax(-1) == truth["shape"]
        off = (teacher.centre(hidden)[on] - truth["centre"][on]).abs().mean()
        share = ((scores * on).sum(1) / scores.sum(1)).mean()
        top = torch.zeros_like(on).scatter(1, scores.topk(TOP_PATCHES).indices, True)
        hits = [
            all((top[b] & (truth["objects"][b] == o)).any() for o in truth["objects"][b].unique() if o > 0)
            for b in range(B)
        ]
        sums += [
            colour[on].float().mean(),
            shape[on].float().mean(),
            shape[~on].float().mean(),
            off,
            share,
            on.float().mean(),
            np.mean(hits),
        ]
    names = ("colour", "shape", "background", "centreOff", "clsOnObjects", "area", "allObjectsHit")
    return " ".join(f"{name} {value / n:.3f}" for name, value in zip(names, sums))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="training/work/clips")
    parser.add_argument("--out", default="training/work/tower.pt")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=24, help="frames a step and process")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--attention", type=float, default=0.2, help="weight of the loss on CLS attention")
    return parser.parse_args()


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    shards, unseen = load_shards(f"{args.data}/train"), load_shards(f"{args.data}/validate")
    tower = new_tower()
    teacher = Teacher(tower.config.hidden_size)
    trainer = Trainer(rank, args.out, args.minutes, args.rate, 0.02, tower=tower, teacher=teacher)
    rng = np.random.default_rng([trainer.step, rank])
    torch.manual_seed(2 * trainer.step + rank)
    for step in trainer.steps():
        contrast, patches, attention = losses(tower, teacher, sample_stills(shards, rng, args.batch))
        trainer.update(contrast + patches + args.attention * attention)
        if rank == 0 and step % 50 == 49:
            trainer.log(f"contrast {contrast:.3f} patches {patches:.3f} attention {attention:.3f}")
        if rank == 0 and step % 300 == 299:
            trainer.log(validate(tower, teacher, unseen))
    if rank == 0:
        trainer.log(validate(tower, teacher, unseen))


def losses(tower, teacher, truth: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    states, scores = forward(tower, disturb(truth["x"]))
    cls = [states[-1][:, 0].float(), states[FEATURE_LAYER][:, 0].float()]
    patches = teacher.patches(states[FEATURE_LAYER][:, 1:].float(), truth)
    return teacher.contrast(cls, truth["pairs"]), patches, attention_loss(scores, truth["objects"])


if __name__ == "__main__":
    launch(train, parse_args())
