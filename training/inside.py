"""
FastV (arXiv 2403.06764) and SparseVLM (arXiv 2410.04417) beside VisionZip: the same model, clips, frames and questions,
at the same number of visual tokens. Both drop tokens inside the language model and look at the question; written from
the papers' descriptions. Prints Markdown tables. All of it again, for the model that is in models/nano now:

  node scripts/build.mjs
  training/.venv/bin/python -W ignore training/inside.py --processes 2 --json training/work/inside/table.json

How tokens are counted: as the mean over the layers of the visual tokens that enter the layer, for VisionZip the same in
all of them. (FastV's own paper counts operations, K layers with all n tokens and the others with what is left; the
papers of SparseVLM and VisionZip compare at equal means.) In the papers 2 of 32 layers hold everything; in a decoder of
few layers even one is a large share, so that a small mean cannot be reached at all. The second half of the tables
therefore counts only what is left behind the last pruning layer, which favours both methods.
"""

import argparse
import hashlib
import json
import math
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from compress import compress
from load_nano import load_language
from pruning import BEHIND, MEAN, Plan, Prefix, answer, fastv_kept, fastv_plan, sparse_plan, sparse_sizes
from score import interval, is_right
from tokenizers import Tokenizer

ROOT = Path(__file__).parent.parent
SHARES = (1 / 2, 1 / 4, 15 / 144, 7 / 144)  # of a frame's patches
ALL = "all tokens"


class Run(NamedTuple):
    """A row and a column of a table, and how its answers come about. `count` None: the same either way."""

    row: str
    count: str | None
    tokens: int | None  # a frame; None: all
    key: tuple  # of the prefix: budget (dominant, contextual) or None, and whether the tuned projector
    make: Callable[[Prefix, torch.Tensor], Plan] | None  # None where it cannot be reached

    @property
    def id(self) -> str:
        return " / ".join(str(part) for part in (self.row, self.count, self.tokens) if part is not None)


def runs_for(patches: int, frames: int, L: int, budgets: list[int]) -> list[Run]:
    N = patches * frames
    no_plan = lambda prefix, asked: {}
    runs = [Run(ALL, None, None, (None, False), no_plan)]
    for T in budgets:
        contextual = math.floor(T * 5 / 32 + 0.5)
        for row, tuned in (("VisionZip, projector of all tokens", False), ("VisionZip, tuned projector", True)):
            runs.append(Run(row, None, T, ((T - contextual, contextual), tuned), no_plan))
        for count in (MEAN, BEHIND):
            for K in (2, 1) if count == MEAN else (2,):
                kept = fastv_kept(N, L, K, T * frames, count)
                for rank in ("last", "mean"):
                    row = f"FastV, K = {K}, {'last position' if rank == 'last' else 'mean of the question'}"
                    plan = fastv_plan(K, kept, rank) if kept else None
                    runs.append(Run(row, count, T, (None, False), plan and (lambda _p, _a, plan=plan: plan)))
            sizes = sparse_sizes(N, L, T * frames, count)
            for by in ("similarity", "attention"):
                plan = sizes and sparse_maker(sizes, by)
                runs.append(Run(f"SparseVLM, raters by {by}", count, T, (None, False), plan))
    return runs


def sparse_maker(sizes: dict[int, int], by: str) -> Callable[[Prefix, torch.Tensor], Plan]:
    return lambda prefix, asked: sparse_plan(prefix.states[0][prefix.is_visual], asked, sizes, by)


class Inputs:
    """What scripts/tower-outputs.ts wrote, of so many clips at most."""

    def __init__(self, folder: Path, most: int | None = None):
        self.index = json.loads((folder / "clips.json").read_text())
        N, D, K, P = (self.index[name] for name in "NDKP")
        read = lambda name, *shape: np.memmap(folder / f"{name}.f32", "<f4", "r").reshape(-1, *shape)
        self.arrays = read("hidden", N, D), read("keys", N, K), read("scores", P)
        self.clips = self.index["clips"][:most]
        self.starts = np.cumsum([0, *(len(clip["ptsSeconds"]) for clip in self.clips)])

    def tower(self, c: int) -> tuple[torch.Tensor, ...]:
        """hidden (F, N, D), keys (F, N, K), scores (F, P); with CLS at 0."""
        return tuple(torch.from_numpy(np.array(a[self.starts[c] : self.starts[c + 1]])) for a in self.arrays)


class Asker:
    """Everything that answers a clip's questions; one a process."""

    def __init__(self, model: str, inputs: Path, budgets: list[int]):
        torch.set_num_threads(1)
        self.inputs, self.budgets = Inputs(inputs), budgets
        self.model, *self.projectors = load_language(model)
        self.tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")

    @torch.inference_mode()
    def ask(self, c: int) -> dict:
        """By the id of a run: the answers to a clip's questions, and the visual tokens that entered each layer."""
        clip, of, most = self.inputs.clips[c], self.inputs.index["model"], self.inputs.index["maxNewTokens"]
        hidden, keys, scores = self.inputs.tower(c)
        embed, prefixes, answers = self.model.get_input_embeddings(), {}, {}
        L = self.model.config.num_hidden_layers
        for run in runs_for(scores.shape[1], len(hidden), L, self.budgets):
            if run.make is None:
                continue
            budget, tuned = run.key
            if run.key not in prefixes:
                shown = hidden[:, 1:] if budget is None else compress(hidden, keys, scores, *budget)
                visual = self.projectors[tuned](shown)
                prefixes[run.key] = Prefix(self.model, clip["prefix"], of["imageTokenId"], visual)
            prefix, predictions = prefixes[run.key], []
            for question in clip["questions"]:
                asked = question["suffix"]
                plan = run.make(prefix, embed(torch.tensor(asked)))
                ids, counts = answer(self.model, prefix, asked, plan, of["eosTokenIds"], most)
                predictions.append(self.tokenizer.decode(ids, skip_special_tokens=True).strip())
            answers[run.id] = {"predictions": predictions, "counts": counts}
        return answers


_asker: Asker


def _start(*args) -> None:
    global _asker
    _asker = Asker(*args)


def _ask(c: int) -> dict:
    return _asker.ask(c)


def ask_all(args: argparse.Namespace, budgets: list[int], inputs: Inputs) -> Iterator[dict]:
    """Clip by clip. What a run of the same code, model and seed has left in `answers.jsonl` is not asked again."""
    code = b"".join((ROOT / "training" / name).read_bytes() for name in ("inside.py", "pruning.py", "compress.py"))
    about = [hashlib.sha256(code).hexdigest(), inputs.index["model"]["digest"], inputs.index["seed"], args.model]
    journal, clips = args.inputs / "answers.jsonl", len(inputs.clips)
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    done = lines[1 : 1 + clips] if lines[:1] == [about] else []
    if not done:
        journal.write_text(json.dumps(about) + "\n")
    yield from done
    start = (args.model, args.inputs, budgets)
    # A pool that notices when one of its processes is killed; a single one is this one.
    if args.processes == 1:
        rest = map(Asker(*start).ask, range(len(done), clips))
    else:
        rest = ProcessPoolExecutor(args.processes, get_context("spawn"), _start, start).map(
            _ask, range(len(done), clips)
        )
    for answers in rest:
        with journal.open("a") as file:
            file.write(json.dumps(answers) + "\n")
        yield answers


def measure(run: Run, clips: list[dict], answers: list[dict], frames: np.ndarray) -> dict:
    """`right` of the questions, `share` of what is right with all tokens, in pairs; by kind the value alone."""
    marks = {id: [mark(clip, a[id]["predictions"]) for clip, a in zip(clips, answers)] for id in {run.id, ALL}}
    right, base = (np.array([sum(one) for one in marks[id]]) for id in (run.id, ALL))
    asked = np.array([len(clip["questions"]) for clip in clips])
    kinds: dict[str, list[bool]] = {}
    for clip, one in zip(clips, marks[run.id]):
        for question, is_so in zip(clip["questions"], one):
            kinds.setdefault(question["kind"], []).append(is_so)
    counts = np.array([a[run.id]["counts"] for a in answers]) / frames[:, None]  # (clips, L), tokens a frame
    return {
        "right": interval(right, asked),
        "share": interval(right, base),
        "kinds": {kind: float(np.mean(one)) for kind, one in sorted(kinds.items())},
        "tokensByLayer": counts.mean(0).round(2).tolist(),
        "meanTokens": counts.mean(),
    }


def mark(clip: dict, predictions: list[str]) -> list[bool]:
    return [is_right(question, prediction) for question, prediction in zip(clip["questions"], predictions)]


def rows_of(runs: list[Run], results: dict, count: str) -> dict[str, list[dict | None]]:
    """By row the results at each budget; where a method stands there in two ways, the better one first."""
    rows: dict[str, list[dict | None]] = {}
    for run in runs:
        if run.tokens is not None and run.count in (None, count):
            rows.setdefault(run.row, []).append(results.get(run.id))
    worth = lambda row: sum(cell["right"]["value"] for cell in rows[row] if cell)
    return {row: rows[row] for row in sorted(rows, key=lambda row: (kind_of(row), -worth(row)))}


def kind_of(row: str) -> int:
    """VisionZip as it is, then tuned, FastV with K = 2, then with K = 1, SparseVLM."""
    starts = ("VisionZip, training", "VisionZip", "FastV, K = 2", "FastV, K = 1", "SparseVLM")
    return next(i for i, start in enumerate(starts) if row.startswith(start))


def table(title: str, about: str, rows: dict, budgets: list[int], patches: int, value: str, with_mean: bool) -> str:
    head = ["", *(f"{T} of {patches} ({100 * T / patches:.1f} %)" for T in budgets)]
    lines = [f"### {title}", "", about, "", f"| {' | '.join(head)} |", f"|---|{'---:|' * len(budgets)}"]
    for row, cells in rows.items():
        lines.append(f"| {' | '.join([row, *(render(cell, value, with_mean) for cell in cells)])} |")
    return "\n".join(lines) + "\n"


def render(cell: dict | None, value: str, with_mean: bool) -> str:
    if cell is None:
        return "not reachable"
    text = percents(cell[value])
    return f"{text}; mean {cell['meanTokens']:.1f}" if with_mean else text


def percents(measured: dict) -> str:
    return "{value:.1f} ({low:.1f}–{high:.1f})".format(**{name: 100 * v for name, v in measured.items()})


def tables(runs: list[Run], results: dict, budgets: list[int], inputs: Inputs, L: int) -> str:
    patches, clips = inputs.index["P"], inputs.clips
    asked = sum(len(clip["questions"]) for clip in clips)
    layers = ", ".join(str(i) for i in sparse_sizes(patches, L, patches / 2, BEHIND))
    common = (
        f"{len(clips)} clips, {asked:,} questions, greedy answers, {L} layers; per cent, 95 % intervals by bootstrap "
        f"over clips. With all {patches} tokens: {percents(results[ALL]['right'])}. VisionZip is what the worker "
        f"computes. FastV ranks by the attention in layer K; SparseVLM prunes behind layers {layers}; of two ways the "
        "better one on these questions stands first. "
    )
    by_mean = (
        "Columns: visual tokens a frame, the mean over the layers. *Not reachable*: where K of the layers hold "
        f"everything the mean is at least {patches / L:.0f} (K = 1, and SparseVLM’s first layer) or "
        f"{2 * patches / L:.0f} (K = 2)."
    )
    behind = (
        "Columns: visual tokens a frame behind the last pruning layer, which favours FastV and SparseVLM: what the "
        "layers before it hold is not counted. The mean over all layers stands in each cell."
    )
    written = []
    for count, title, about in (
        (MEAN, "FastV and SparseVLM at the same mean of visual tokens over the layers", by_mean),
        (BEHIND, "The same, counting only what is left behind the last pruning layer", behind),
    ):
        rows, with_mean = rows_of(runs, results, count), count == BEHIND
        written.append(table(title, common + about, rows, budgets, patches, "right", with_mean))
        share = "As a share of what is right with all tokens, in pairs, clip by clip."
        written.append(table(f"{title}: share of “all tokens”", share, rows, budgets, patches, "share", False))
    return "\n".join(written)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models/nano"))
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--seed", type=int, default=77, help="of the clips")
    folder = ROOT / "training/work/inside"
    parser.add_argument("--inputs", type=Path, default=folder, help="folder for the tower's outputs and the answers")
    parser.add_argument("--work", default=str(ROOT / ".cache/eval"), help="folder for the clips, as the evaluation's")
    parser.add_argument("--script", default=str(ROOT / "dist/scripts/tower-outputs.js"), help="writes them")
    parser.add_argument("--reuse", action="store_true", help="the tower's outputs that are there, of this very model")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the results, with the answers")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.reuse:
        options = {"model": args.model, "seed": args.seed, "count": args.clips, "work": args.work, "out": args.inputs}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        subprocess.run(["node", args.script, *words], check=True)
    inputs = Inputs(args.inputs, args.clips)
    clips, patches = inputs.clips, inputs.index["P"]
    budgets = [round(share * patches) for share in SHARES]
    answers = []
    for c, one in enumerate(ask_all(args, budgets, inputs)):
        answers.append(one)
        print(f"\r{c + 1} of {len(clips)} clips", end="" if c + 1 < len(clips) else "\n", flush=True)
    L = len(answers[0][ALL]["counts"])
    frames = np.array([len(clip["ptsSeconds"]) for clip in clips])
    runs = runs_for(patches, int(frames[0]), L, budgets)
    results = {run.id: measure(run, clips, answers, frames) for run in runs if run.id in answers[0]}
    print(tables(runs, results, budgets, inputs, L))
    if args.json:
        args.json.write_text(json.dumps(document(inputs, results, answers), indent=1, default=float) + "\n")


def document(inputs: Inputs, results: dict, answers: list[dict]) -> dict:
    asked = [
        {**clip, "answers": {id: a["predictions"] for id, a in one.items()}} for clip, one in zip(inputs.clips, answers)
    ]
    about = {"model": inputs.index["model"], "seed": inputs.index["seed"], "clips": len(inputs.clips)}
    return {**about, "results": results, "answers": asked}


if __name__ == "__main__":
    main()
