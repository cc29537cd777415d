"""Batches for the language model: one visual prefix a clip, and behind it every question, blind to the others."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from compress import compress
from config import COLOURS, GRID, SHAPES
from controls import CONTROLS
from tokens import IMAGE, PAD, render_answer, render_prefix, render_question, render_time

IGNORED, PREFIX, PADDING = -100, 0, -1
# Questions only for training have long answers; the weight of their words beside the answers to the others.
CAPTION_WEIGHT, TIMES_WEIGHT = 0.3, 0.5
MOST_TIMES = 24  # words of an answer that lists times or events
HARD_WEIGHT = 2.0  # of the two kinds that are learned last
NONE = (0, 0)  # the budget "no compression": all patches, without CLS


class Features:
    """One shard of cached tower outputs."""

    def __init__(self, path: Path, width: int):
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]
        self.scores = np.load(path.with_suffix(".scores.npy"), "r")  # (clips, F, 144)
        self.features = np.load(path.with_suffix(".features.npy"), "r")  # (clips, F, 145, D + K)
        self.width = width

    def read(self, clip: int, frames: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        both = torch.from_numpy(self.features[clip][frames]).view(torch.bfloat16).float()
        return both[..., : self.width], both[..., self.width :], torch.from_numpy(self.scores[clip][frames])


class View(NamedTuple):
    """Some frames of a clip, forwards or backwards, with the questions that they can answer."""

    shard: Features
    clip: int
    frames: list[int]
    pts: list[float]
    questions: list[dict]


def load_features(folder: str, width: int) -> list[Features]:
    return [Features(path, width) for path in sorted(Path(folder).glob("*.jsonl"))]


def views_of(shard: Features, clip: int, frames: int) -> list[View]:
    views = [view for view in shard.rows[clip]["views"] if len(view["frames"]) == frames]
    return [View(shard, clip, view["frames"], view["ptsSeconds"], view["questions"]) for view in views]


def visual_tokens(views: list[View], budget: tuple[int, int], method: str = "visionzip") -> torch.Tensor:
    """F frames each -> (B * F, T, D)."""
    hidden, keys, scores = (torch.cat(part) for part in zip(*(v.shard.read(v.clip, v.frames) for v in views)))
    if budget == NONE:
        return hidden[:, 1:]
    if method != "visionzip":
        return CONTROLS[method](hidden, keys, scores, sum(budget))
    return compress(hidden, keys, scores, *budget)


def shuffle_patches(visual: torch.Tensor) -> torch.Tensor:
    """Every frame's patches in an order of its own: where a patch lies is to be read from the token itself."""
    order = torch.rand(visual.shape[:2]).argsort(1)
    return take_patches(visual, order)


def take_patches(visual: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    return visual.gather(1, patches[..., None].expand(-1, -1, visual.shape[2]))


def near_objects(visual: torch.Tensor, views: list[View], T: int) -> torch.Tensor:
    """
    The T patches of every frame nearest to what it shows, roughly, in raster order; any T where it shows nothing.
    A closer shot: cheaper than all patches, with more of the picture on objects.
    """
    spot = (torch.arange(GRID) + 0.5) / GRID
    points = torch.stack([spot.expand(GRID, GRID).flatten(), spot[:, None].expand(GRID, GRID).flatten()], 1)  # (P, 2)
    rows = []
    for view in views:
        things = view.shard.rows[view.clip]["objects"]
        for f in view.frames:
            seen = [thing["centres"][f] for thing in things if thing["centres"][f]]
            rows.append(torch.cdist(points, torch.tensor(seen)).min(1).values if seen else torch.zeros(GRID * GRID))
    ranks = torch.stack(rows) + torch.rand(visual.shape[:2]) / GRID
    return take_patches(visual, ranks.argsort(1)[:, :T].sort(1).values)


EVENT = re.compile(rf"({'|'.join(COLOURS)})? ?({'|'.join(SHAPES)}|object) (appear|vanish)\w*")


def events_of(view: View, question: str) -> list[tuple[int, int]]:
    """Of each event that a question names: where its verb ends, and the frame with the first or last sight of it."""
    events = []
    for match in EVENT.finditer(question):
        colour, shape, change = match.groups()
        named = [
            moments_of(view, thing)
            for thing in view.shard.rows[view.clip]["objects"]
            if thing["shape"] != "flash" and colour in (None, thing["colour"]) and shape in ("object", thing["shape"])
        ]
        named = [moments for moments in named if moments]
        if len(named) == 1:
            events.append((match.end(), named[0][0 if change == "appear" else -1]))
    return events


def locate_events(tokenizer: Tokenizer, view: View, P: int) -> list[tuple[int, int]]:
    """(place in the packed sequence behind a prefix of P tokens, frame) of all events in the view's questions."""
    places, start = [], P
    for q in view.questions:
        asked = tokenizer.encode(render_question(q["question"]))
        ends = {end: i for i, (_, end) in enumerate(asked.offsets)}
        places += [(start + ends[1 + end], frame) for end, frame in events_of(view, q["question"])]
        start += len(asked.ids) + len(tokenizer.encode(render_answer(q["answer"])).ids)
    return places


def pack(tokenizer: Tokenizer, pts: list[float], counts: list[int], questions: list[dict], asked_weight: float):
    """Token ids, segment (0 is the prefix), position, target and loss weight of one clip's packed sequence."""
    image, of_frame = tokenizer.token_to_id(IMAGE), iter(counts)
    prefix = tokenizer.encode(render_prefix(pts)).ids
    ids = [t for token in prefix for t in ([token] * next(of_frame) if token == image else [token])]
    P = len(ids)
    segments, positions, targets, weights = [PREFIX] * P, list(range(P)), [IGNORED] * P, [0.0] * P
    for i, q in enumerate(questions):
        asked = tokenizer.encode(render_question(q["question"])).ids
        whole = asked + tokenizer.encode(render_answer(q["answer"])).ids
        ids += whole
        segments += [i + 1] * len(whole)
        positions += range(P, P + len(whole))
        targets += [*whole[1:], IGNORED]
        weight = q.get("weight", 1.0)
        weights += [asked_weight] * (len(asked) - 1) + [weight] * (len(whole) - len(asked)) + [0.0]
    return ids, segments, positions, targets, weights


def name_place(centre: list[float]) -> str:
    x, y = centre
    words = [("top", "", "bottom")[min(2, int(y * 3))], ("left", "", "right")[min(2, int(x * 3))]]
    return " ".join(filter(None, words)) or "middle"


def things_at(view: View, moment: int) -> list[tuple[str, str]]:
    """What is seen at a moment, from left to right: (name, place)."""
    frame = view.frames[moment]
    there = [thing for thing in view.shard.rows[view.clip]["objects"] if thing["centres"][frame]]
    there.sort(key=lambda thing: thing["centres"][frame][0])
    return [(f"{thing['colour']} {thing['shape']}", name_place(thing["centres"][frame])) for thing in there]


def describe(view: View, moment: int, when: str, weight: float) -> dict:
    """A caption of one frame: each word that follows a colour or a shape is read off that object alone."""
    answer = ", ".join(f"{name} {place}" for name, place in things_at(view, moment)) or "nothing"
    return {"question": f"What is there{when}?", "kind": "caption", "answer": answer, "weight": weight}


def ask_moments(view: View, rng: np.random.Generator) -> list[dict]:
    """What is there at two moments, and where one of the objects is."""
    questions, last = [], len(view.frames) - 1
    for moment in (int(rng.choice([0, last])), int(rng.integers(last + 1))):
        when = {0: " at the start", last: " at the end"}.get(moment, f" at {render_time(view.pts[moment])}")
        questions.append(describe(view, moment, when, CAPTION_WEIGHT))
        things = things_at(view, moment)
        if things:
            name, place = things[rng.integers(len(things))]
            questions.append({"question": f"Where is the {name}{when}?", "kind": "where", "answer": place})
    return questions


def moments_of(view: View, thing: dict) -> list[int]:
    return [moment for moment, frame in enumerate(view.frames) if thing["centres"][frame]]


def ask_times(view: View, rng: np.random.Generator) -> list[dict]:
    """When one of the objects is seen, and what comes and goes in turn: frame by frame what `when` and `order` need."""
    seen = [(thing, moments_of(view, thing)) for thing in view.shard.rows[view.clip]["objects"]]
    seen = [(f"{thing['colour']} {thing['shape']}", moments) for thing, moments in seen if moments]
    if not seen:
        return []
    name, moments = seen[rng.integers(len(seen))]
    gone = [moment for moment in range(len(view.frames)) if moment not in moments]
    asked, listed = (
        (f"is the {name} seen", moments) if rng.random() < 0.6 or not gone else (f"is there no {name}", gone)
    )
    times = " ".join(render_time(view.pts[moment]) for moment in listed)
    comes = [(moments[0], f"{name} appears") for name, moments in seen]
    goes = [(moments[-1] + 1, f"{name} vanishes") for name, moments in seen]
    events = [(moment, event) for moment, event in sorted(comes + goes) if 0 < moment < len(view.frames)]
    asked_events, apart = "What happens?", dict(events)  # one event a moment
    if len(apart) > 1:
        asked_events = f"In which order: {', '.join(rng.permutation(list(apart.values())))}?"
        events = list(apart.items())
    side = int(rng.random() < 0.5)
    return [
        {
            "question": f"In which frame is the {name} seen {('first', 'last')[side]}?",
            "kind": "number",
            "answer": str(moments[-side] + 1),
        },
        {"question": f"At which times {asked}?", "kind": "times", "answer": times, "weight": TIMES_WEIGHT},
        {
            "question": asked_events,
            "kind": "events",
            "answer": ", ".join(event for _, event in events) or "nothing",
            "weight": CAPTION_WEIGHT,
        },
    ]


def ask_end(view: View) -> dict:
    """The easiest copy of a time."""
    return {"question": "When does the video end?", "kind": "end", "answer": render_time(view.pts[-1])}


def align(view: View, rng: np.random.Generator) -> View:
    """One frame of a view and its caption: LLaVA's first stage."""
    moment = int(rng.integers(len(view.frames)))
    caption = describe(view, moment, "", 1.0)
    return view._replace(frames=[view.frames[moment]], pts=[view.pts[moment]], questions=[caption])


def at_another_pace(view: View, rng: np.random.Generator) -> View:
    """The same clip slower or faster, and sometimes cut from a longer one: only the times change."""
    pace = np.exp(rng.uniform(np.log(0.5), np.log(40))) if rng.random() < 0.15 else 1.0
    start = rng.random() * 60 if rng.random() < 0.1 else 0.0
    return at_times(view, pace, start)


def at_times(view: View, pace: float, start: float = 0.0) -> View:
    pts = [round(t * pace + start, 3) for t in view.pts]
    again = [{**q, "answer": render_time(pts[q["moment"]])} if q["kind"] == "when" else q for q in view.questions]
    return view._replace(pts=pts, questions=again)


def vary(view: View, rng: np.random.Generator, most_questions: int) -> View:
    view = at_another_pace(view, rng)
    chosen = [view.questions[i] for i in rng.permutation(len(view.questions))[:most_questions]]
    chosen = [{**q, "weight": HARD_WEIGHT} if q["kind"] in ("order", "when") else q for q in chosen]
    times = [q for q in ask_times(view, rng) if len(q["answer"].split()) <= MOST_TIMES]
    return view._replace(questions=chosen + ask_moments(view, rng) + times + [ask_end(view)])


def make_batch(
    tokenizer: Tokenizer,
    views: list[View],
    visual: torch.Tensor,
    asked_weight: float = 0.0,
    counts: list[list[int]] | None = None,
) -> dict:
    """
    Views of F frames each -> tensors (B, S). Visual tokens (B * F, T, D), or (all, D) with `counts` that say how many each
    frame of each view has.
    """
    if counts is None:
        counts, visual = [[visual.shape[1]] * len(v.frames) for v in views], visual.flatten(0, 1)
    rows = [pack(tokenizer, v.pts, each, v.questions, asked_weight) for v, each in zip(views, counts)]
    S = max(len(row[0]) for row in rows)
    fill = (tokenizer.token_to_id(PAD), PADDING, 0, IGNORED, 0.0)
    columns = [[column + [empty] * (S - len(column)) for column in part] for part, empty in zip(zip(*rows), fill)]
    ids, segments, positions, targets, weights = (torch.tensor(column) for column in columns)
    events = [
        (b, *event) for b, v in enumerate(views) for event in locate_events(tokenizer, v, rows[b][1].count(PREFIX))
    ]
    return {
        "ids": ids,
        "events": torch.tensor(events, dtype=torch.long).view(-1, 3),  # clip, place in the sequence, frame
        "segments": segments,
        "positions": positions,
        "targets": targets,
        "weights": weights,
        "visual": visual,
        "kinds": [[q["kind"] for q in v.questions] for v in views],
        "tenths": per_token([[int(render_time(t)[:-1].replace(".", "")) for t in v.pts] for v in views], counts),
        "numbers": per_token([range(len(v.frames)) for v in views], counts),
        "bias": block_bias(segments),
    }


def per_token(values: list, counts: list[list[int]]) -> torch.Tensor:
    """A value a frame, for each of its visual tokens."""
    return torch.tensor([v for row, each in zip(values, counts) for v, T in zip(row, each) for _ in range(T)])


def block_bias(segments: torch.Tensor) -> torch.Tensor:
    """(B, S) -> (B, 1, S, S): a token looks back at the prefix and at its own question."""
    S = segments.shape[1]
    same = (segments[:, None, :] == PREFIX) | (segments[:, None, :] == segments[:, :, None])
    allowed = same & torch.ones(S, S, dtype=torch.bool).tril()
    return torch.zeros(allowed.shape).masked_fill_(~allowed, -1e9)[:, None]
