"""
Stage 3: the language side on cached features, many questions behind each clip.

    all    projector and decoder, all tokens of every frame: what LLaVA does
    tuned  the projector alone, on compressed tokens, from a finished `all` (the paper's efficient tuning)
    with   projector and decoder on compressed tokens, from nothing or from a finished `all`
"""

import argparse
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from config import CONTEXTUAL, DOMINANT, FRAMES, PATCHES, text_config, vision_config
from controls import CONTROLS
from decoder import Projector, run_blocks
from loop import Trainer, launch
from packing import (
    IGNORED,
    NONE,
    Features,
    View,
    align,
    load_features,
    make_batch,
    near_objects,
    shuffle_patches,
    vary,
    views_of,
    visual_tokens,
)
from tokens import IMAGE
from torch import nn

TIMES = 200  # those below 20 s are tokens
DEFAULT = (DOMINANT, CONTEXTUAL)
TOKENS_PER_STEP = 3600  # in each process
TEXT_PER_CLIP = 350  # the words of the prompt and of the questions, about
MOST_QUESTIONS = 12
CLS_DROP = 0.5  # share of the compressed steps without CLS: it lists the objects so well that patches are not looked at
CLOCK_WEIGHT, CLOCK_TOKENS, CLOCK_BLOCKS = 0.15, 512, 2
EVENT_WEIGHT, EVENT_BLOCKS = 0.4, 4
ASKED_WEIGHT = 0.1  # of the questions' own words in the loss: they name what is in the clip


class Phase(NamedTuple):
    """Of stage `all`, up to a share of the time."""

    end: float
    frames: dict[int, float]  # of a clip, and how likely
    patches: tuple[int, int]  # of a frame, the fewest and the most
    every: float  # share of the steps that take all patches


# Few frames, then few patches, are cheap and teach most of it.
PHASES = (
    Phase(0.08, {1: 1.0}, (40, 100), 0.5),  # captions of single frames: LLaVA's first stage
    Phase(0.25, {1: 0.1, 2: 0.5, 4: 0.4}, (20, 60), 0.1),
    Phase(0.62, {2: 0.15, 4: 0.3, 8: 0.45, 12: 0.1}, (20, 48), 0.05),
    Phase(0.82, {2: 0.1, 4: 0.2, 8: 0.55, 12: 0.15}, (30, 100), 0.3),
    Phase(1.0, {2: 0.1, 4: 0.2, 8: 0.55, 12: 0.15}, (12, 60), 0.5),
)


def split_budget(total: int) -> tuple[int, int]:
    contextual = int(total * 5 / 32 + 0.5)
    return total - contextual, contextual


def sample_setting(
    rng: np.random.Generator, stage: str, going_on: bool, done: float
) -> tuple[int, tuple[int, int], int]:
    """Frames of one step, and VisionZip's budget or how many of all patches it takes. Going on skips the beginning."""
    place = 0.7 + 0.3 * done if going_on else done
    phase = next(phase for phase in PHASES if place <= phase.end)
    frames = int(rng.choice(list(phase.frames), p=list(phase.frames.values())))
    if stage == "all":
        return frames, NONE, PATCHES if rng.random() < phase.every else int(rng.integers(*phase.patches))
    some = split_budget(int(np.exp(rng.uniform(np.log(3), np.log(73)))))
    return frames, DEFAULT if rng.random() < 0.6 else some, 0


def sample_visual(views: list[View], budget: tuple[int, int], T: int, args: argparse.Namespace, rng) -> torch.Tensor:
    """(B * F, T, D), sometimes with the patches shuffled or without CLS."""
    visual = visual_tokens(views, budget, args.method)
    if budget == NONE:
        if T < PATCHES:
            visual = near_objects(visual, views, T)
        return shuffle_patches(visual) if rng.random() < 0.5 else visual
    if args.stage == "with" and rng.random() < CLS_DROP:
        visual[:, 0] = 0
    return visual


def sample_batch(
    tokenizer: Tokenizer, shards: list[Features], rng: np.random.Generator, args: argparse.Namespace, done: float
) -> dict:
    """One process's part of a step: clips of one number of frames and one budget, about TOKENS_PER_STEP in all."""
    frames, budget, T = sample_setting(rng, args.stage, bool(args.start), done)
    per_clip = frames * (sum(budget) or T) + (TEXT_PER_CLIP if frames > 1 else 30)
    views = []
    for _ in range(max(1, TOKENS_PER_STEP // per_clip)):
        shard = shards[rng.integers(len(shards))]
        both = views_of(shard, int(rng.integers(len(shard.rows))), max(2, frames))
        view = both[rng.integers(len(both))]
        views.append(align(view, rng) if frames == 1 else vary(view, rng, MOST_QUESTIONS))
    return make_batch(tokenizer, views, sample_visual(views, budget, T, args, rng), ASKED_WEIGHT)


@torch.no_grad()
def whiten(projector: Projector, tokens: torch.Tensor) -> None:
    """
    Starts the first linear layer behind a whitening of its inputs (T, D). The tower's tokens share a large mean and
    a few strong directions, which otherwise hide shape and place from the decoder for thousands of steps.
    """
    mean, centred = tokens.mean(0), tokens - tokens.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(tokens))
    scale = (values + 0.02 * values.mean()).rsqrt()
    projector.linear_1.weight.copy_(projector.linear_1.weight @ (vectors * scale) @ vectors.T)
    projector.linear_1.bias.sub_(projector.linear_1.weight @ mean)


@torch.no_grad()
def code_times(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """
    Gives the tokens that are times (0.0s to 19.9s) embeddings that tell how late it is, waves of several periods
    beside what tells tokens apart, and the output layer the same rows: so one linear map copies any time, and nearby
    times are alike. From random rows no time was copied after 40 minutes.
    """
    rows = torch.tensor([tokenizer.token_to_id(f"Ġ{t / 10:.1f}s") for t in range(TIMES)])
    inward, outward = model.model.embed_tokens.weight, model.lm_head.weight
    seconds, periods = torch.arange(TIMES) / 10, 40 / 2 ** torch.arange(7)
    angles = 2 * torch.pi * seconds[:, None] / periods
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    basis = torch.linalg.qr(torch.randn(inward.shape[1], waves.shape[1])).Q
    mean = inward[rows].mean(0)
    own = inward[rows] - mean
    code = F.normalize(0.8 * F.normalize(waves @ basis.T, dim=1) + 0.6 * F.normalize(own, dim=1), dim=1)
    inward[rows] = mean + own.norm(dim=1).mean() * code
    outward[rows] = outward[rows].mean(0) + code


class Clock(nn.Module):
    """
    Heads that only training needs. After two blocks, each visual token is to tell its frame's time and number; after
    four, each "appears" or "vanishes" of a question the number of the frame where that happens.
    """

    def __init__(self, H: int, most_frames: int = 16):
        super().__init__()
        self.time, self.number, self.event = nn.Linear(H, TIMES), nn.Linear(H, most_frames), nn.Linear(H, most_frames)

    def event_loss(self, x: torch.Tensor, batch: dict) -> torch.Tensor:
        """x (B, S, H): the outputs of a block."""
        clips, places, frames = batch["events"].T
        verbs = x[clips, places].float()
        return F.cross_entropy(self.event(F.rms_norm(verbs, verbs.shape[-1:])), frames, reduction="sum") / max(
            1, len(frames)
        )

    def loss(self, x: torch.Tensor, batch: dict, image: int) -> torch.Tensor:
        """x (B, S, H): the outputs of a block."""
        visual, tenths, numbers = x[batch["ids"] == image], batch["tenths"], batch["numbers"]  # (all, H), (all), (all)
        some = torch.randint(len(visual), (CLOCK_TOKENS,))
        visual = F.rms_norm(visual[some].float(), visual.shape[-1:])
        known = torch.where(tenths[some] < TIMES, tenths[some], IGNORED)
        lost = F.cross_entropy(self.time(visual), known, reduction="sum") / CLOCK_TOKENS
        return lost + F.cross_entropy(self.number(visual), numbers[some])


def embed(model: LlamaForCausalLM, projector: Projector, batch: dict, image: int) -> torch.Tensor:
    """(B, S, H): the words' embeddings, and the visual tokens in the places of <image>."""
    x = model.model.embed_tokens(batch["ids"])
    return x.masked_scatter((batch["ids"] == image)[..., None], projector(batch["visual"]).to(x.dtype))


def predict(model, projector, batch: dict, image: int, states: list | None = None) -> torch.Tensor:
    """Logits (M, V) at the places that have a target."""
    with torch.autocast("cpu", torch.bfloat16):
        x, _ = run_blocks(
            model, embed(model, projector, batch, image), batch["positions"], batch["bias"], states=states
        )
        return model.lm_head(x[batch["weights"] > 0]).float()


@torch.no_grad()
def validate(model, projector, tokenizer, shards, budget, clips: int, method: str = "visionzip") -> str:
    """Share of answers that are right to the last token (as greedy decoding would give them), by kind."""
    counts: dict[str, list[int]] = {}
    image, size = tokenizer.token_to_id(IMAGE), 3 if budget == NONE else 12
    views = [views_of(shard, c, FRAMES)[0] for shard in shards for c in range(len(shard.rows))][:clips]
    for start in range(0, clips, size):
        some = views[start : start + size]
        batch = make_batch(tokenizer, some, visual_tokens(some, budget, method))
        on = batch["weights"] > 0
        right = torch.ones(on.shape, dtype=torch.bool)
        right[on] = predict(model, projector, batch, image).argmax(-1) == batch["targets"][on]
        for b, kinds in enumerate(batch["kinds"]):
            for i, kind in enumerate(kinds):
                count = counts.setdefault(kind, [0, 0])
                count[0] += bool(right[b][batch["segments"][b] == i + 1].all())
                count[1] += 1
    total = [sum(part) for part in zip(*counts.values())]
    shares = [f"{kind} {right / asked:.3f}" for kind, (right, asked) in [*sorted(counts.items()), ("all", total)]]
    return f"{budget} " + " ".join(shares) + f" of {total[1]}"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("all", "tuned", "with"))
    parser.add_argument("--features", default="training/work/features")
    parser.add_argument("--tokenizer", default="training/work/tokenizer.json")
    parser.add_argument(
        "--from",
        dest="start",
        help="a finished `all` to go on from, or with --size small the layers of it that are kept; "
        "`tuned` needs one (default: training/work/language-all.pt), the others start from nothing",
    )
    parser.add_argument("--method", choices=("visionzip", *CONTROLS), default="visionzip", help="for `tuned`")
    parser.add_argument("--size", choices=("nano", "small"), default="nano", help="of the decoder")
    parser.add_argument("--out", help="default: training/work/language-STAGE[-METHOD][-SIZE].pt")
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    args = parser.parse_args()
    if args.method != "visionzip" and args.stage != "tuned":
        parser.error("--method is only for `tuned`")
    if args.stage == "tuned" and not args.start:
        args.start = "training/work/language-all.pt"
    others = [name for name in (args.method, args.size) if name not in ("visionzip", "nano")]
    args.out = args.out or f"training/work/language-{'-'.join([args.stage, *others])}.pt"
    return args


def keep_layers(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """A decoder's weights with `layers` of its blocks, spread evenly, the first and the last among them."""
    count = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("model.layers."))
    kept = np.linspace(0, count - 1, layers).astype(int)
    rest = {name: value for name, value in weights.items() if not name.startswith("model.layers.")}
    return rest | {
        name.replace(f".{old}.", f".{new}.", 1): value
        for new, old in enumerate(kept)
        for name, value in weights.items()
        if name.startswith(f"model.layers.{old}.")
    }


def start(args: argparse.Namespace, tokenizer: Tokenizer, shards: list[Features]) -> tuple:
    """The modules as they are before the first step, and those of them that learn."""
    width = vision_config().hidden_size
    config = text_config(tokenizer.get_vocab_size(), args.size)
    model, projector, clock = LlamaForCausalLM(config), Projector(width, config.hidden_size), Clock(config.hidden_size)
    if args.start:
        saved = torch.load(args.start)
        model.load_state_dict(keep_layers(saved["model"], config.num_hidden_layers))
        projector.load_state_dict(saved["projector"]), clock.load_state_dict(saved["clock"])
    else:
        code_times(model, tokenizer)
        sample: list[View] = [views_of(shards[0], clip, FRAMES)[0] for clip in range(60)]
        whiten(projector, visual_tokens(sample, NONE if args.stage == "all" else DEFAULT).flatten(0, 1))
    if args.stage == "tuned":
        model.requires_grad_(False)
        return model, projector, {"projector": projector}
    return model, projector, {"model": model, "projector": projector, "clock": clock}


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    width = vision_config().hidden_size
    tokenizer = Tokenizer.from_file(args.tokenizer)
    unseen, shards = (load_features(f"{args.features}/{split}", width) for split in ("validate", "train"))
    if args.stage == "tuned":
        shards = shards[: len(shards) // 10]  # the paper tunes on a tenth of the data
    model, projector, learning = start(args, tokenizer, shards)
    warmup_steps = 30 if args.stage == "tuned" else 200
    trainer = Trainer(rank, args.out, args.minutes, args.rate, 0.05, warmup_steps, **learning)
    rng, image, loss_mean = np.random.default_rng([trainer.step, rank]), tokenizer.token_to_id(IMAGE), 0.0
    clock_mean, event_mean, first = 0.0, 0.0, trainer.step
    torch.manual_seed(2 * trainer.step + rank)
    for step in trainer.steps():
        batch = sample_batch(tokenizer, shards, rng, args, trainer.done)
        on = batch["weights"] > 0
        states: list[torch.Tensor] = []
        logits = predict(model, projector, batch, image, states)
        each = F.cross_entropy(logits, batch["targets"][on], reduction="none")
        loss = (each * batch["weights"][on]).sum() / batch["weights"].sum()
        if clock := learning.get("clock"):
            clock_loss = clock.loss(states[CLOCK_BLOCKS - 1], batch, image)
            event_loss = clock.event_loss(states[min(EVENT_BLOCKS, len(states)) - 1], batch)
            event_mean += (event_loss.item() - event_mean) / min(step - first + 1, 50)
            clock_mean += (clock_loss.item() - clock_mean) / min(step - first + 1, 50)
            loss = loss + CLOCK_WEIGHT * clock_loss + EVENT_WEIGHT * event_loss
        trainer.update(loss)
        loss_mean += (loss.item() - loss_mean) / min(step - first + 1, 50)
        if rank == 0 and step % 50 == 49:
            trainer.log(f"loss {loss_mean:.4f} clock {clock_mean:.3f} events {event_mean:.3f}")
        if rank == 0 and step % 300 == 299:
            for budget in (NONE, DEFAULT):
                trainer.log(validate(model, projector, tokenizer, unseen, budget, 36, args.method))
    if rank == 0:
        for budget in (NONE, DEFAULT):
            print("done", validate(model, projector, tokenizer, unseen, budget, 240, args.method), flush=True)


if __name__ == "__main__":
    launch(train, parse_args())
