"""Writes the fixtures of the families whose tower ends in a patch merger, beside those of make_fixtures.py.

    python training/published/merger_fixtures.py [--family qwen2_vl …]
    python training/published/merger_fixtures.py --search 8 --family qwen2_vl

`reference/` is of a video, `picture/` of a still picture. The second form looks for seeds of the weights whose closest
choice is far above the noise, for merger_families.py.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from dtypes import remove_scratch, write_dtype
from make_fixtures import OUT, check, run, run_command, session, write_reference
from merger_families import MERGERS, Merger, new_model, save
from merger_graphs import is_naflex
from merger_prompt import Prompt, forward, part, say
from merger_reference import reference, run_tower
from mergers import VISION, WRITERS, export
from reference import is_clear

MEDIA = {"reference": "video", "picture": "image"}  # by folder
# Which files in further dtypes.
VARIANTS = {
    "qwen2_vl": {"fp16": WRITERS},
    "qwen3_5": {"int8": ("vision_encoder",), "fp16": ("embed_tokens",), "q4": ("decoder_model_merged",)},
}


def vision(graph: ort.InferenceSession, grid_name: str, pixel_values: np.ndarray, grid: list[int]) -> np.ndarray:
    """Every pair alone -> image_features (1, T, H), and DeepStack's behind them (1 + L, T, H)."""
    pairs, h, w = grid
    every = []
    for rows in np.split(pixel_values, pairs):
        features, *stacked = run(graph, feed(grid_name, rows, h, w))
        every.append(np.concatenate([features.reshape(1, -1, features.shape[-1]), *stacked]))
    return np.concatenate(every, 1)


def feed(grid_name: str, rows: np.ndarray, h: int, w: int, padding: int = 0) -> dict[str, np.ndarray]:
    """One pair, or one of LFM2-VL's pictures with so many rows of padding."""
    if grid_name != "spatial_shapes":
        return {"pixel_values": rows, grid_name: np.array([[1, h, w]])}
    mask = np.arange(h * w + padding)[None] < h * w
    pixel_values = np.pad(rows, ((0, padding), (0, 0)))[None]
    return {"pixel_values": pixel_values, "pixel_attention_mask": mask.astype(np.int64), grid_name: np.array([[h, w]])}


def empty_cache(graph: ort.InferenceSession) -> dict[str, np.ndarray]:
    """For one prompt and nothing before it."""
    known = {"batch_size": 1, "past_sequence_length": 0}
    return {
        i.name: np.zeros([known.get(size, size) for size in i.shape], np.float32)
        for i in graph.get_inputs()
        if i.name.startswith("past")
    }


def step(graph: ort.InferenceSession, prompt: Prompt, cache: dict, end: int) -> tuple[np.ndarray, dict]:
    """Logits (S, V) of tokens of which the last is the `end`th, and the cache behind them."""
    feed = {
        "inputs_embeds": prompt.embeds.numpy(),
        "attention_mask": np.ones((1, end), np.int64),
        "position_ids": prompt.position_ids.numpy(),
        **({"deepstack_embeds": prompt.deepstack.numpy()} if len(prompt.deepstack) else {}),
        **cache,
    }
    logits, *present = run(graph, feed)
    return logits[0], dict(zip(cache, present))


def read_in_parts(graph: ort.InferenceSession, prompt: Prompt, cuts: list[int]) -> tuple[np.ndarray, dict]:
    """Logits of all positions, and the cache."""
    logits, cache = [], empty_cache(graph)
    for start, end in zip([0, *cuts], [*cuts, len(prompt.visual)]):
        these, cache = step(graph, part(prompt, slice(start, end)), cache, end)
        logits.append(these)
    return np.concatenate(logits), cache


def greedy(graph: ort.InferenceSession, embed: ort.InferenceSession, model, prompt: Prompt, steps: int) -> list[int]:
    logits, cache = read_in_parts(graph, prompt, [])
    ids, end = [int(logits[-1].argmax())], len(prompt.visual)
    while len(ids) < steps:
        said = say(model, ids[-1:], prompt.next_position + len(ids) - 1)
        check_quietly(run(embed, {"input_ids": np.array([ids[-1:]])})[0], said.embeds)
        logits, cache = step(graph, said, cache, end + len(ids))
        ids.append(int(logits[-1].argmax()))
    return ids


def check_quietly(actual: np.ndarray, expected: torch.Tensor) -> None:
    assert np.abs(actual - expected.numpy()).max() < 1e-6


def check_grids(model, graph: ort.InferenceSession) -> None:
    """Other sizes than those that the graph was traced with or the references have."""
    width, name = graph.get_inputs()[0].shape[-1], VISION[model.config.model_type].grid
    for h, w in ((2, 2), (4, 10), (14, 6)):
        grid, rows = [1, h, w], torch.randn(h * w, width)
        expected = run_tower(model, rows, torch.tensor([grid]))["tokens"]
        check(f"grid {h} × {w}", vision(graph, name, rows.numpy(), grid), expected)
        if is_naflex(model):
            check(f"grid {h} × {w}, padded", run(graph, feed(name, rows.numpy(), h, w, 5))[0], expected)


def check_graphs(model, made: dict, folder: Path) -> None:
    """The exported graphs against transformers; the prompt at once, and in parts."""
    arrays, facts = made["arrays"], made["facts"]
    name = VISION[model.config.model_type].grid
    features = vision(session(folder, "vision_encoder"), name, arrays["pixel_values"], facts["grid"])
    check("image features", features[0], arrays["visual_all"])
    if len(features) > 1:
        check("DeepStack's", features[1:], arrays["deepstack_all"])
    embed, decoder = session(folder, "embed_tokens"), session(folder, "decoder_model_merged")
    for way, prompt in made["ways"].items():
        expected, S = facts["answers"][way]["ids"], len(prompt.visual)
        logits = forward(model, prompt)
        for cuts in ([], [S // 2], [1, S // 3, S - 1]):
            check(f"logits, {way}, {len(cuts) + 1} parts", read_in_parts(decoder, prompt, cuts)[0], logits)
        check(f"last logits, {way}", logits[-1].numpy(), arrays[f"logits_{way}"])
        answer = greedy(decoder, embed, model, prompt, len(expected))
        assert answer == expected, f"{way}: {answer} {expected}"


def add_variants(family: Merger, made: dict, grid_name: str, folder: Path) -> None:
    """Files in further dtypes, and how far they are from float32."""
    arrays, prompt = made["arrays"], made["ways"]["none"]
    for dtype, names in VARIANTS.get(family.name, {}).items():
        for name in names:
            write_dtype(folder / f"onnx/{name}.onnx", folder / "onnx", dtype)
        if len(names) < len(WRITERS):
            continue
        encoder, decoder = session(folder, "vision_encoder", dtype), session(folder, "decoder_model_merged", dtype)
        features = vision(encoder, grid_name, arrays["pixel_values"], made["facts"]["grid"])[0]
        logits = read_in_parts(decoder, prompt, [])[0][-1]
        errors = np.abs(features - arrays["visual_all"]).max(), np.abs(logits - arrays["logits_none"]).max()
        assert np.isfinite(errors).all()
        print(f"  {dtype}: image features {errors[0]:.1e}, last logits {errors[1]:.1e}")
    remove_scratch(folder / "onnx")


def make_medium(family: Merger, model, source: Path, out: Path, name: str) -> None:
    made = reference(family, model, source, MEDIA[name])
    assert is_clear(family, made["facts"]), f"a choice is too close to a tie: {made['facts']['margins']}"
    check_graphs(model, made, out)
    if name == "reference":
        add_variants(family, made, VISION[model.config.model_type].grid, out)
    about = {"frames": len(made["drawn"]), "order": family.order}
    write_reference(family, made, made["drawn"], about, out / name)


def make(family: Merger) -> int:
    """Returns the bytes written."""
    out = OUT / family.name
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as source, torch.inference_mode():
        save(family, Path(source))
        model = export(source, out, ["fp32"], family.deepstack)
        check_grids(model, session(out, "vision_encoder"))
        for name in MEDIA:
            make_medium(family, model, Path(source), out, name)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def ratios(facts: dict) -> dict[str, float]:
    """How far above the noise the closest choices are."""
    m = facts["margins"]
    found = {way: a["gap"] / a["noise"] for way, a in facts["answers"].items()}
    return found | {name: m[f"{name}Gap"] / m[f"{name}Noise"] for name in ("score", "cosine")}


def search(family: Merger, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save(family, Path(folder))  # for its settings
        for seed in range(count):
            model = new_model(family, seed)[0]
            every = [reference(family, model, Path(folder), medium)["facts"] for medium in MEDIA.values()]
            told = "; ".join(", ".join(f"{name} {ratio:.0f}" for name, ratio in ratios(f).items()) for f in every)
            clear = all(is_clear(family, facts) for facts in every)
            lengths = [len(a["ids"]) for facts in every for a in facts["answers"].values()]
            print(f"{family.name} seed {seed}: {'clear' if clear else 'no'}; {told}; answers {lengths}", flush=True)


if __name__ == "__main__":
    run_command(__doc__, MERGERS, make, search)
