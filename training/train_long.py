"""
Stage 4: the shipped model goes on with up to 64 frames and 4,096 tokens, all patches of few frames or VisionZip's tokens
of many, as src/pipeline/over-time gives them. The decoder and both projectors learn.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from config import CONTEXTUAL, DOMINANT, MOST_FRAMES, PATCHES, text_config, vision_config
from load_nano import load_language
from loop import Trainer, launch
from over_time import compress_clip
from packing import (
    NONE,
    Features,
    View,
    at_times,
    load_features,
    make_batch,
    near_objects,
    shuffle_patches,
    vary,
    views_of,
    visual_tokens,
)
from tokens import IMAGE
from train_language import ASKED_WEIGHT, CLOCK_BLOCKS, CLOCK_WEIGHT, EVENT_BLOCKS, EVENT_WEIGHT, Clock, predict

TOKENS_PER_STEP = 3600  # in each process
TEXT_PER_CLIP, TEXT_PER_FRAME = 350, 4
MOST_QUESTIONS = 12
DEFAULT = DOMINANT + CONTEXTUAL
ALL_SHARE = 0.25  # of the steps see all patches, or many of them
FRAMES_OF_ALL = {4: 0.15, 8: 0.4, 12: 0.1, 16: 0.35}
FRAMES = {8: 0.23, 16: 0.27, 32: 0.25, 48: 0.08, 64: 0.17}
SHORT_SHARE, SHORT_SECONDS, LEAST_GAP = 0.5, (2, 20), 0.12  # of the clips are as fast as short ones, frames so far apart
CLOCKS_ALONE = 200  # steps in which the new heads learn without the decoder
FLASH_WEIGHT = 2.0


def choose(rng: np.random.Generator, shares: dict[int, float]) -> int:
    return int(rng.choice(list(shares), p=list(shares.values())))


def sample_setting(rng: np.random.Generator) -> dict:
    """The same in every process, so that the same weights learn and no process waits long for another."""
    if rng.random() < ALL_SHARE:
        frames = choose(rng, FRAMES_OF_ALL)
        T = PATCHES if rng.random() < 0.6 else int(rng.integers(20, 100))
        return {"frames": frames, "all": True, "each": T}
    frames = choose(rng, FRAMES)
    each = DEFAULT if rng.random() < 0.5 else float(np.exp(rng.uniform(np.log(3), np.log(min(73, 3000 / frames)))))
    mode = rng.random()
    return {"frames": frames, "all": False, "each": each, "windows": mode > 0.4, "novelty": 0.25 < mode < 0.7}


def see(views: list[View], setting: dict, rng: np.random.Generator) -> tuple[torch.Tensor, list[list[int]]]:
    """Visual tokens (all, D) of the views, and how many each frame has."""
    if setting["all"]:
        visual = visual_tokens(views, NONE)
        if setting["each"] < PATCHES:
            visual = near_objects(visual, views, setting["each"])
        if rng.random() < 0.3:
            visual = shuffle_patches(visual)
        return visual.flatten(0, 1), [[visual.shape[1]] * len(v.frames) for v in views]
    clips = [
        compress_clip(*v.shard.read(v.clip, v.frames), setting["each"], setting["windows"], setting["novelty"])
        for v in views
    ]
    counts = [[len(frame) for frame in clip] for clip in clips]
    return torch.cat([frame for clip in clips for frame in clip]), counts


def sample_batch(tokenizer: Tokenizer, shards: list[Features], setting: dict, rng: np.random.Generator) -> dict:
    frames = setting["frames"]
    per_clip = frames * (setting["each"] + TEXT_PER_FRAME) + TEXT_PER_CLIP
    views = []
    for _ in range(max(1, int(TOKENS_PER_STEP / per_clip))):
        shard = shards[rng.integers(len(shards))]
        both = views_of(shard, int(rng.integers(len(shard.rows))), frames)
        view = vary(hasten(both[rng.integers(len(both))], rng), rng, MOST_QUESTIONS)
        views.append(view._replace(questions=[weigh(q) for q in view.questions]))
    visual, counts = see(views, setting, rng)
    return make_batch(tokenizer, views, visual, ASKED_WEIGHT, counts)


def hasten(view: View, rng: np.random.Generator) -> View:
    """Often as fast as a short clip: whose times are single tokens, and asked for to the tenth."""
    if rng.random() > SHORT_SHARE:
        return view
    shortest = max(SHORT_SECONDS[0], LEAST_GAP * len(view.frames))
    seconds = np.exp(rng.uniform(np.log(shortest), np.log(SHORT_SECONDS[1])))
    return at_times(view, min(1.0, seconds / view.pts[-1]))


def weigh(question: dict) -> dict:
    is_flash = question["kind"] == "flash" and question["answer"] != "none"
    return {**question, "weight": FLASH_WEIGHT} if is_flash else question


LOOKS = (
    {"frames": 8, "all": True, "each": PATCHES},
    {"frames": 16, "all": True, "each": PATCHES},
    {"frames": 8, "all": False, "each": DEFAULT, "windows": False, "novelty": False},
    {"frames": 32, "all": False, "each": DEFAULT, "windows": False, "novelty": False},
    {"frames": 64, "all": False, "each": DEFAULT, "windows": False, "novelty": False},
    {"frames": 64, "all": False, "each": DEFAULT, "windows": True, "novelty": True},
    {"frames": 32, "all": False, "each": 7, "windows": False, "novelty": False},
    {"frames": 32, "all": False, "each": 7, "windows": True, "novelty": True},
)


@torch.no_grad()
def validate(model, projectors, tokenizer, shards: list[Features], setting: dict, clips: int) -> str:
    """Share of answers that are right to the last token, by kind; `flash` where there is one, `none` where not."""
    counts: dict[str, list[int]] = {}
    image, rng = tokenizer.token_to_id(IMAGE), np.random.default_rng(0)
    for clip in range(clips):
        view = views_of(shards[0], clip, setting["frames"])[0]
        visual, each = see([view], setting, rng)
        batch = make_batch(tokenizer, [view], visual, 0.0, each)
        on = batch["weights"] > 0
        right = torch.ones(on.shape, dtype=torch.bool)
        right[on] = predict(model, projectors[setting["all"]], batch, image).argmax(-1) == batch["targets"][on]
        for i, question in enumerate(view.questions):
            kind = "none" if question["answer"] == "none" else question["kind"]
            count = counts.setdefault(kind, [0, 0])
            count[0] += bool(right[0][batch["segments"][0] == i + 1].all())
            count[1] += 1
    total = [sum(part) for part in zip(*counts.values())]
    shares = [f"{kind} {right / asked:.3f}" for kind, (right, asked) in [*sorted(counts.items()), ("all", total)]]
    name = " ".join(str(int(value)) for value in setting.values())
    return f"({name}) {' '.join(shares)} of {total[1]}"


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    width = vision_config().hidden_size
    tokenizer = Tokenizer.from_file(f"{args.start}/tokenizer.json")
    unseen, shards = (load_features(f"{args.features}/{split}", width) for split in ("validate", "train"))
    model, projector, tuned = load_language(args.start)
    model.config.max_position_embeddings = text_config(0).max_position_embeddings
    projectors, clock = {True: projector, False: tuned}, Clock(model.config.hidden_size, MOST_FRAMES)
    modules = {"model": model, "projector": projector, "tuned": tuned, "clock": clock}
    for module in modules.values():
        module.requires_grad_(True).train()
    trainer = Trainer(rank, args.out, args.minutes, args.rate, 0.05, 200, **modules)
    image, means = tokenizer.token_to_id(IMAGE), np.zeros(3)
    torch.manual_seed(2 * trainer.step + rank)
    first = trainer.step
    for step in trainer.steps():
        setting = sample_setting(np.random.default_rng([step, PATCHES]))
        batch = sample_batch(tokenizer, shards, setting, np.random.default_rng([step, rank]))
        on = batch["weights"] > 0
        states: list[torch.Tensor] = []
        logits = predict(model, projectors[setting["all"]], batch, image, states)
        each = F.cross_entropy(logits, batch["targets"][on], reduction="none")
        loss = (each * batch["weights"][on]).sum() / batch["weights"].sum()
        early, later = states[CLOCK_BLOCKS - 1], states[EVENT_BLOCKS - 1]
        if step < CLOCKS_ALONE:
            early, later = early.detach(), later.detach()
        losses = loss, clock.loss(early, batch, image), clock.event_loss(later, batch)
        means += (np.array([float(part) for part in losses]) - means) / min(step - first + 1, 50)
        trainer.update(losses[0] + CLOCK_WEIGHT * losses[1] + EVENT_WEIGHT * losses[2])
        if rank == 0 and step % 50 == 49:
            trainer.log("loss {:.4f} clock {:.3f} events {:.3f}".format(*means))
        if rank == 0 and step % 400 == 399:
            for look in LOOKS:
                trainer.log(validate(model, projectors, tokenizer, unseen, look, 24))
    if rank == 0:
        for look in LOOKS:
            print("done", validate(model, projectors, tokenizer, unseen, look, 120), flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="start", default="models/nano", help="the model's folder to go on from")
    parser.add_argument("--features", default="training/work/long-features")
    parser.add_argument("--out", default="training/work/language-long.pt")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--rate", type=float, default=6e-4)
    return parser.parse_args()


if __name__ == "__main__":
    launch(train, parse_args())
