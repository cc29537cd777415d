"""Batches for the language model: one visual prefix a clip, and behind it every question, blind to the others."""

import json
from pathlib import Path

import numpy as np
import torch
from compress import compress
from tokenizers import Tokenizer
from tokens import IMAGE, PAD, render_answer, render_prefix, render_question

OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
IGNORED, PREFIX, PADDING = -100, 0, -1
NONE = (0, 0)  # the budget "no compression": all patches, without CLS


class Features:
    """One shard of cached tower outputs."""

    def __init__(self, path: Path, width: int):
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]
        self.scores = np.load(path.with_suffix(".scores.npy"), "r")  # (clips, F, 144)
        self.features = np.load(path.with_suffix(".features.npy"), "r")  # (clips, F, 145, D + K)
        self.frames, self.width = self.scores.shape[1], width

    def read(self, clip: int, frames: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        both = torch.from_numpy(self.features[clip][frames]).view(torch.bfloat16).float()
        return both[..., : self.width], both[..., self.width :], torch.from_numpy(self.scores[clip][frames])


def load_features(folder: str, width: int) -> list[Features]:
    return [Features(path, width) for path in sorted(Path(folder).glob("*.jsonl"))]


def visual_tokens(clips: list[tuple], budget: tuple[int, int]) -> torch.Tensor:
    """[(shard, clip, frames)] with F frames each -> (B * F, T, D)."""
    hidden, keys, scores = (torch.cat(part) for part in zip(*(s.read(c, frames) for s, c, frames in clips)))
    return hidden[:, 1:] if budget == NONE else compress(hidden, keys, scores, *budget)


def pack(tokenizer: Tokenizer, pts: list[float], T: int, questions: list[dict], asked_weight: float):
    """Token ids, segment (0 is the prefix), position, target and loss weight of one clip's packed sequence."""
    image = tokenizer.token_to_id(IMAGE)
    ids = [
        t for token in tokenizer.encode(render_prefix(pts)).ids for t in ([token] * T if token == image else [token])
    ]
    P = len(ids)
    segments, positions, targets, weights = [PREFIX] * P, list(range(P)), [IGNORED] * P, [0.0] * P
    for i, q in enumerate(questions):
        asked = tokenizer.encode(render_question(q["question"])).ids
        whole = asked + tokenizer.encode(render_answer(q["answer"])).ids
        ids += whole
        segments += [i + 1] * len(whole)
        positions += range(P, P + len(whole))
        targets += [*whole[1:], IGNORED]
        weights += [asked_weight] * (len(asked) - 1) + [1.0] * (len(whole) - len(asked)) + [0.0]
    return ids, segments, positions, targets, weights


def turn_round(row: dict) -> dict:
    """The same clip played backwards: encoding a frame does not depend on the others, so only the truth changes."""
    pts = row["ptsSeconds"]
    questions = [{**q, "answer": OPPOSITE[q["answer"]]} if q["kind"] == "direction" else q for q in row["questions"]]
    return {"ptsSeconds": [pts[-1] - t for t in reversed(pts)], "questions": questions}


def ask_places(objects: list[dict], frames: list[int], pts: list[float], rng: np.random.Generator) -> list[dict]:
    """Two questions only for training: where an object is at some moment. A direction is the change of that."""
    questions = []
    for moment in (rng.choice([0, len(frames) - 1]), rng.integers(len(frames))):
        thing = objects[rng.integers(len(objects))]
        x, y = thing["centres"][frames[moment]]
        words = [("top", "", "bottom")[min(2, int(y * 3))], ("left", "", "right")[min(2, int(x * 3))]]
        when = {0: "the start", len(frames) - 1: "the end"}.get(int(moment), f"{pts[moment]:.1f}s")
        questions.append(
            {
                "question": f"Where is the {thing['colour']} {thing['shape']} at {when}?",
                "kind": "place",
                "answer": " ".join(filter(None, words)) or "middle",
            }
        )
    return questions


def make_batch(
    tokenizer: Tokenizer,
    clips: list[tuple],
    budget: tuple[int, int],
    rng: np.random.Generator | None = None,
    most_questions: int = 99,
    asked_weight: float = 0.0,
) -> dict:
    """[(shard, clip, frames)] -> tensors (B, S). With `rng` half of the clips run backwards, times may start later."""
    packed, turned, kinds = [], [], []
    for shard, clip, frames in clips:
        row = shard.rows[clip]
        row = {"ptsSeconds": [row["ptsSeconds"][f] for f in frames], "questions": row["questions"]}
        questions = row["questions"]
        if rng is not None:
            if rng.random() < 0.5:
                row, frames = turn_round(row), frames[::-1]
            start = rng.random() * 30 if rng.random() < 0.1 else 0.0
            row["ptsSeconds"] = [t + start for t in row["ptsSeconds"]]
            chosen = rng.permutation(len(row["questions"]))[:most_questions]
            questions = [row["questions"][i] for i in chosen]
            questions += ask_places(shard.rows[clip]["objects"], frames, row["ptsSeconds"], rng)
        turned.append((shard, clip, frames))
        kinds.append([q["kind"] for q in questions])
        packed.append((row["ptsSeconds"], questions))
    visual = visual_tokens(turned, budget)
    rows = [pack(tokenizer, pts, visual.shape[1], questions, asked_weight) for pts, questions in packed]
    S = max(len(row[0]) for row in rows)
    fill = (tokenizer.token_to_id(PAD), PADDING, 0, IGNORED, 0.0)
    columns = [[column + [empty] * (S - len(column)) for column in part] for part, empty in zip(zip(*rows), fill)]
    ids, segments, positions, targets, weights = (torch.tensor(column) for column in columns)
    return {
        "ids": ids,
        "segments": segments,
        "positions": positions,
        "targets": targets,
        "weights": weights,
        "visual": visual,
        "kinds": kinds,
        "bias": block_bias(segments),
    }


def block_bias(segments: torch.Tensor) -> torch.Tensor:
    """(B, S) -> (B, 1, S, S): a token looks back at the prefix and at its own question."""
    S = segments.shape[1]
    same = (segments[:, None, :] == PREFIX) | (segments[:, None, :] == segments[:, :, None])
    allowed = same & torch.ones(S, S, dtype=torch.bool).tril()
    return torch.zeros(allowed.shape).masked_fill_(~allowed, -1e9)[:, None]
