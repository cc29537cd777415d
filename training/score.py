"""Right or wrong as scripts/eval/score.ts has it, and intervals as scripts/eval/bootstrap.ts."""

import math
import re

import numpy as np

ROUNDING_SECONDS = 1e-6


def is_right(question: dict, prediction: str) -> bool:
    """A time is right within the question's tolerance; everything else must be the same, case and a full stop aside."""
    if "toleranceSeconds" not in question:
        return normalise(prediction) == normalise(question["answer"])
    off = abs(first_number(prediction) - first_number(question["answer"]))
    return off <= question["toleranceSeconds"] + ROUNDING_SECONDS


def normalise(text: str) -> str:
    return text.strip().lower().removesuffix(".")


def first_number(text: str) -> float:
    found = re.search(r"-?\d*\.?\d+", text, re.ASCII)
    return float(found[0]) if found else math.nan


def interval(top: np.ndarray, bottom: np.ndarray, draws: int = 1000) -> dict:
    """sum(top) / sum(bottom) over clips, and its 95 % interval by as many clips drawn with replacement."""
    chosen = np.random.default_rng(0).integers(len(top), size=(draws, len(top)))
    values = np.sort(top[chosen].sum(1) / bottom[chosen].sum(1))
    outside = int(0.025 * draws)
    return {"value": top.sum() / bottom.sum(), "low": values[outside], "high": values[draws - 1 - outside]}
