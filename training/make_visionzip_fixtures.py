"""Writes the small VisionZip cases of test/fixtures/visionzip with plain numpy in float64.

Computed from the published description (arXiv 2412.04467, section 3.2 and appendix A.2), independently of the
TypeScript. Run: python training/make_visionzip_fixtures.py
"""
import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "test/fixtures/visionzip"


def visionzip(hidden, keys, scores, cls, dominant, contextual):
    """hidden (N, D), keys (N, K), scores (P) -> (dominant + contextual, D), kept rows."""
    N = len(hidden)
    offset = 1 if cls else 0
    order = np.argsort(-scores, kind="stable")[: dominant - offset] + offset
    kept = sorted(([0] if cls else []) + order.tolist())
    rest = [n for n in range(N) if n not in kept]
    out = [hidden[n] for n in kept]
    if contextual > 0:
        stride = max(1, len(rest) // contextual)
        targets = [rest[c * stride] for c in range(contextual)]
        length = np.linalg.norm(keys, axis=1, keepdims=True)
        unit = np.divide(keys, length, out=np.zeros_like(keys), where=length > 0)
        joined = {t: [] for t in targets}
        for n in rest:
            if n not in joined:
                joined[targets[int(np.argmax(unit[targets] @ unit[n]))]].append(n)
        for t in targets:
            out.append(hidden[t] + (hidden[joined[t]].mean(axis=0) if joined[t] else 0))
    return np.stack(out), kept


def write(name, rng, B, N, D, K, dominant, contextual, cls, edit=None):
    heads = 3
    P = N - 1 if cls else N
    hidden = rng.standard_normal((B, N, D)).astype(np.float32)
    keys = rng.standard_normal((B, N, K)).astype(np.float32)
    attention = rng.random((B, heads, P)).astype(np.float32)
    if edit:
        edit(hidden, keys, attention)
    scores = attention.sum(axis=1, dtype=np.float32)
    results = [
        visionzip(h.astype(np.float64), k.astype(np.float64), s.astype(np.float64), cls, dominant, contextual)
        for h, k, s in zip(hidden, keys, scores)
    ]
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    expected = np.stack([tokens for tokens, _ in results]).astype(np.float32)
    arrays = {"hidden": hidden, "keys": keys, "expected": expected}
    arrays["cls_attention" if cls else "scores"] = attention if cls else scores
    for key, array in arrays.items():
        array.astype("<f4").tofile(folder / f"{key}.f32")
    case = {"cls": cls, **{key: list(array.shape) for key, array in arrays.items()}}
    case |= {"dominant": dominant, "contextual": contextual, "dominantIndices": [kept for _, kept in results]}
    (folder / "case.json").write_text(json.dumps(case) + "\n")


def zero_keys(hidden, keys, attention):
    keys[:, ::3] = 0


def ties(hidden, keys, attention):
    attention[:] = np.round(attention * 4) / 4


def main():
    rng = np.random.default_rng(20241204)
    write("cls-9-2", rng, 2, 17, 6, 4, 9, 2, True)
    write("cls-only", rng, 1, 17, 6, 4, 1, 0, True)
    write("cls-one-contextual", rng, 1, 17, 6, 4, 1, 1, True)
    write("cls-no-contextual", rng, 1, 17, 6, 4, 5, 0, True)
    write("cls-all-tokens", rng, 1, 17, 6, 4, 12, 5, True)
    write("cls-stride-remainder", rng, 1, 26, 4, 4, 4, 7, True)
    write("cls-zero-keys", rng, 1, 17, 6, 4, 3, 4, True, zero_keys)
    write("cls-ties", rng, 2, 17, 6, 4, 8, 3, True, ties)
    write("nocls-9-2", rng, 2, 16, 6, 4, 9, 2, False)
    write("nocls-one-dominant", rng, 1, 16, 6, 4, 1, 5, False)


if __name__ == "__main__":
    main()
