"""Stage 3: projector and decoder on cached features, compressed as at run time, many questions behind each clip."""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from config import CONTEXTUAL, DOMINANT, FRAMES, PATCHES, text_config, vision_config
from decoder import Projector, run_blocks
from loop import Trainer, launch
from packing import NONE, Features, load_features, make_batch, visual_tokens
from tokenizers import Tokenizer
from tokens import IMAGE
from transformers import LlamaForCausalLM

DEFAULT = (DOMINANT, CONTEXTUAL)
TOKENS_PER_STEP = 3000  # in each process
TEXT_PER_CLIP = 130  # the words of the prompt and of 7 questions, about
MOST_QUESTIONS = 5
CLS_DROP = 0.5  # share of the steps without CLS: it lists the objects so well that patches would not be looked at
ASKED_WEIGHT = 0.1  # of the questions' own words in the loss: they name what is in the clip


def split_budget(total: int) -> tuple[int, int]:
    contextual = int(total * 5 / 32 + 0.5)
    return total - contextual, contextual


def sample_setting(rng: np.random.Generator, done: float) -> tuple[int, tuple[int, int]]:
    """
    Frames and budget of one step. The first half takes few frames, which is cheap and teaches most of it; after that
    mostly the default, some other budgets, and a few frames without compression.
    """
    draw = rng.random()
    if done < 0.5:
        return int(rng.integers(3, 5)), DEFAULT if draw < 0.8 else split_budget(int(rng.integers(8, 25)))
    if draw < 0.06:
        return int(rng.integers(2, FRAMES + 1)), NONE
    if draw < 0.25:
        return int(rng.integers(4, 13)), split_budget(int(rng.integers(8, 49)))
    return FRAMES, DEFAULT


def sample_clips(groups: dict[int, list[Features]], rng: np.random.Generator, frames: int, B: int) -> list[tuple]:
    """B clips with `frames` of their cached frames, in order of time."""
    shards = groups[FRAMES] if frames <= FRAMES else groups[12]
    clips = []
    for _ in range(B):
        shard = shards[rng.integers(len(shards))]
        chosen = sorted(rng.choice(shard.frames, frames, replace=False).tolist())
        clips.append((shard, int(rng.integers(len(shard.rows))), chosen))
    return clips


def sample_batch(
    tokenizer: Tokenizer, groups: dict[int, list[Features]], rng: np.random.Generator, done: float
) -> dict:
    """One process's part of a step: clips of one number of frames and one budget, about TOKENS_PER_STEP in all."""
    frames, budget = sample_setting(rng, done)
    per_clip = frames * (sum(budget) or PATCHES) + TEXT_PER_CLIP
    clips = sample_clips(groups, rng, frames, max(1, TOKENS_PER_STEP // per_clip))
    batch = make_batch(tokenizer, clips, budget, rng, MOST_QUESTIONS, ASKED_WEIGHT)
    if budget != NONE and rng.random() < CLS_DROP:
        batch["visual"][:, 0] = 0
    return batch


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


def embed(model: LlamaForCausalLM, projector: Projector, batch: dict, image: int) -> torch.Tensor:
    """(B, S, H): the words' embeddings, and the visual tokens in the places of <image>."""
    x = model.model.embed_tokens(batch["ids"])
    return x.masked_scatter((batch["ids"] == image)[..., None], projector(batch["visual"]).to(x.dtype))


def predict(model, projector, batch: dict, image: int) -> torch.Tensor:
    """Logits (M, V) at the places that have a target."""
    with torch.autocast("cpu", torch.bfloat16):
        x, _ = run_blocks(model, embed(model, projector, batch, image), batch["positions"], batch["bias"])
        return model.lm_head(x[batch["weights"] > 0]).float()


@torch.no_grad()
def validate(
    model, projector, tokenizer, shards, setting=(FRAMES, DEFAULT), clips: int = 500
) -> dict[str, tuple[int, int]]:
    """Answers that are right to the last token (as greedy decoding would give them), and questions, by kind."""
    frames, budget = setting
    counts: dict[str, list[int]] = {}
    image, size = tokenizer.token_to_id(IMAGE), 5 if budget == NONE else 25
    for start in range(0, clips, size):
        picked = [int(round(i * (shards[0].frames - 1) / (frames - 1))) for i in range(frames)]
        batch = make_batch(tokenizer, [(shards[0], c, picked) for c in range(start, start + size)], budget)
        on = batch["weights"] > 0
        right = torch.ones(on.shape, dtype=torch.bool)
        right[on] = predict(model, projector, batch, image).argmax(-1) == batch["targets"][on]
        for b, kinds in enumerate(batch["kinds"]):
            for i, kind in enumerate(kinds):
                count = counts.setdefault(kind, [0, 0])
                count[0] += bool(right[b][batch["segments"][b] == i + 1].all())
                count[1] += 1
    return {kind: tuple(count) for kind, count in sorted(counts.items())}


def summarise(counts: dict[str, tuple[int, int]]) -> str:
    total = [sum(part) for part in zip(*counts.values())]
    shares = [f"{kind} {right / asked:.3f}" for kind, (right, asked) in {**counts, "all": total}.items()]
    return " ".join(shares) + f" of {total[1]}"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", default="training/work/features")
    parser.add_argument("--tokenizer", default="training/work/tokenizer.json")
    parser.add_argument("--out", default="training/work/language.pt")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    return parser.parse_args()


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    width = vision_config().hidden_size
    tokenizer = Tokenizer.from_file(args.tokenizer)
    config = text_config(tokenizer.get_vocab_size())
    model, projector = LlamaForCausalLM(config), Projector(width, config.hidden_size)
    unseen = load_features(f"{args.features}/validate", width)
    groups = {n: load_features(f"{args.features}/{name}", width) for n, name in ((FRAMES, "train"), (12, "long"))}
    sample = [(groups[FRAMES][0], clip, list(range(FRAMES))) for clip in range(100)]
    whiten(projector, visual_tokens(sample, DEFAULT).flatten(0, 1))
    trainer = Trainer(rank, args.out, args.minutes, args.rate, 0.05, model=model, projector=projector)
    rng, image, loss_mean = np.random.default_rng([trainer.step, rank]), tokenizer.token_to_id(IMAGE), 0.0
    for step in trainer.steps():
        batch = sample_batch(tokenizer, groups, rng, trainer.done)
        on = batch["weights"] > 0
        each = F.cross_entropy(predict(model, projector, batch, image), batch["targets"][on], reduction="none")
        loss = (each * batch["weights"][on]).sum() / batch["weights"].sum()
        trainer.update(loss)
        loss_mean += (loss.item() - loss_mean) / min(step + 1, 50)
        if rank == 0 and step % 50 == 49:
            trainer.log(f"loss {loss_mean:.4f}")
        if rank == 0 and step % 400 == 399:
            trainer.log(summarise(validate(model, projector, tokenizer, unseen, clips=100)))
    if rank == 0:
        report(model, projector, tokenizer, unseen)


def report(model, projector, tokenizer, unseen) -> None:
    for setting in ((FRAMES, DEFAULT), (4, DEFAULT), (FRAMES, split_budget(32)), (FRAMES, NONE)):
        counts = validate(model, projector, tokenizer, unseen, setting, 500 if setting[1] == DEFAULT else 100)
        print("done", setting, summarise(counts), flush=True)


if __name__ == "__main__":
    launch(train, parse_args())
