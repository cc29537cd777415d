"""Writes test/fixtures/published: per family a model in the hub's ONNX layout, and what transformers makes of it.

    python training/published/make_fixtures.py [--family llava …]
    python training/published/make_fixtures.py --search 8 --family llava

The second form looks for a seed of the weights whose closest choice is farthest above the noise, for families.py.
"""

import argparse
import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
import transformers
from compression import pool
from dtypes import DTYPES, remove_scratch, write_dtype
from families import FAMILIES, Family, new_model, save
from layout import WRITERS, export
from other_graphs import write_other_graphs
from pictures import picture_reference, pictures
from reference import is_clear, reference, with_newlines
from split_pictures import split_reference

OUT = Path(__file__).parents[2] / "test/fixtures/published"
TOLERANCE, MAX_BYTES = 1e-4, 12e6
# Which files in further dtypes. "optimized" has SkipLayerNormalization as well.
VISION = ("vision_encoder",)
VARIANTS = {
    "llava": {
        "fp16": WRITERS,
        "int8": WRITERS,
        "q4": WRITERS,
        "q4f16": WRITERS,
        "external": VISION,
        "fused": VISION,
        "optimized": VISION,
        "extended": VISION,
    },
    "llava_onevision": {"fp16": WRITERS, "int8": VISION, "q4": VISION},
    # The mix that its makers recommend, and int8.
    "smolvlm": {"q4": ("vision_encoder", "decoder_model_merged"), "fp16": ("embed_tokens",), "int8": VISION},
}
EXACT = ("external", "fused", "optimized", "extended")
# Families that look at a still picture in several crops.
PICTURES = {"llava_next": picture_reference, "smolvlm": split_reference, "idefics3": split_reference}


def session(folder: Path, name: str, dtype: str = "fp32") -> ort.InferenceSession:
    return ort.InferenceSession(str(folder / f"onnx/{name}{DTYPES[dtype]}.onnx"), providers=["CPUExecutionProvider"])


def run(graph: ort.InferenceSession, inputs: dict) -> list[np.ndarray]:
    """Floats go in as the graph wants them, and come out as float32."""
    half = {i.name for i in graph.get_inputs() if i.type == "tensor(float16)"}
    feed = {name: np.asarray(x, np.float16) if name in half else np.asarray(x) for name, x in inputs.items()}
    return [x.astype(np.float32) if x.dtype == np.float16 else x for x in graph.run(None, feed)]


def image_features(family: Family, graph: ort.InferenceSession, pixel_values: np.ndarray) -> np.ndarray:
    inputs = {"pixel_values": pixel_values}
    if family.is_smol:
        F, _, height, width = pixel_values.shape
        inputs = {"pixel_values": pixel_values[None], "pixel_attention_mask": np.ones((1, F, height, width), bool)}
    return run(graph, inputs)[0]


def greedy(graph: ort.InferenceSession, embed: ort.InferenceSession, model, embeds: np.ndarray, steps: int):
    """Logits of all positions of the prompt, and the ids of the answer."""
    c = model.config.text_config
    caches = [i.name for i in graph.get_inputs() if i.name.startswith("past")]
    past = [np.zeros((1, c.num_key_value_heads, 0, c.hidden_size // c.num_attention_heads), np.float32) for _ in caches]
    prompt, ids, end = None, [], 0
    while len(ids) < steps:
        start, end = end, end + embeds.shape[1]
        feed = {
            "inputs_embeds": embeds,
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(start, end)[None],
            **dict(zip(caches, past)),
        }
        logits, *past = run(graph, feed)
        prompt = logits if prompt is None else prompt
        ids.append(int(logits[0, -1].argmax()))
        embeds = run(embed, {"input_ids": np.array([ids[-1:]])})[0]
    return prompt, ids


def check(name: str, actual: np.ndarray, expected, tolerance: float = TOLERANCE) -> None:
    error = float(np.abs(actual - np.asarray(expected)).max())
    print(f"  {name}: max abs difference {error:.1e}")
    assert actual.shape == tuple(expected.shape) and error <= tolerance, f"{name}: {error}, {actual.shape}"


def check_graphs(family: Family, model, made: dict, folder: Path, arrange: Callable) -> None:
    """The exported graphs against transformers; `arrange` makes visual tokens (T, H) of image features (F, N, H)."""
    arrays, facts = made["arrays"], made["facts"]
    features = torch.from_numpy(image_features(family, session(folder, "vision_encoder"), arrays["pixel_values"]))
    check("image features", arrange(features).numpy(), arrays["visual_all"])
    embed, decoder = session(folder, "embed_tokens"), session(folder, "decoder_model_merged")
    ids = torch.tensor([facts["expandedIds"]])
    check("embeddings", run(embed, {"input_ids": ids.numpy()})[0], model.get_input_embeddings()(ids))
    for way, embeds in made["ways"].items():
        expected = facts["answers"][way]["ids"]
        logits, answer = greedy(decoder, embed, model, embeds.numpy(), len(expected))
        check(f"logits, {way}", logits, model(inputs_embeds=embeds).logits)
        check(f"last logits, {way}", logits[0, -1], arrays[f"logits_{way}"])
        assert answer == expected, f"{way}: {answer} {expected}"


def add_variants(family: Family, model, made: dict, folder: Path) -> None:
    """Files in further dtypes, and how far they are from float32."""
    given, embeds = made["arrays"]["pixel_values"], made["ways"]["none"].numpy()
    exact = image_features(family, session(folder, "vision_encoder"), given)
    last = made["arrays"]["logits_none"]
    for dtype, names in VARIANTS.get(family.name, {}).items():
        for name in names:
            write_dtype(folder / f"onnx/{name}.onnx", folder / "onnx", dtype)
        if "vision_encoder" not in names:
            continue
        error = np.abs(image_features(family, session(folder, "vision_encoder", dtype), given) - exact).max()
        text = f"  {dtype}: image features {error:.1e}"
        assert np.isfinite(error) and (error <= TOLERANCE or dtype not in EXACT)
        if "embed_tokens" in names:
            decoder, embed = session(folder, "decoder_model_merged", dtype), session(folder, "embed_tokens", dtype)
            error = np.abs(greedy(decoder, embed, model, embeds, 1)[0][0, -1] - last).max()
            assert np.isfinite(error)
            text += f", last logits {error:.1e}"
        print(text)
    remove_scratch(folder / "onnx")


def write_array(path: Path, array: np.ndarray) -> None:
    """Little-endian float32. Pixels have few levels, and take a tenth when packed."""
    values = np.ascontiguousarray(array).astype("<f4").tobytes()
    if path.stem == "pixel_values":
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(values, 9, mtime=0))
    else:
        path.write_bytes(values)


def write_reference(family: Family, made: dict, images: dict, about: dict, folder: Path) -> None:
    """`images` by the names of their files; `about` comes first in reference.json."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, image in images.items():
        image.save(folder / f"{name}.png", optimize=True)
    for name, array in made["arrays"].items():
        write_array(folder / f"{name}.f32", array)
    facts = {
        "family": family.name,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        **about,
        "budget": None if family.order == "none" else {"dominant": family.dominant, "contextual": family.contextual},
        "arrays": {name: list(array.shape) for name, array in made["arrays"].items()},
        **made["facts"],
    }
    (folder / "reference.json").write_text(json.dumps(facts) + "\n")


def make_frames(family: Family, model, source: Path, out: Path) -> None:
    """The reference of a video's frames."""
    made = reference(family, model, source)
    assert is_clear(family, made["facts"]), f"a choice is too close to a tie: {made['facts'].get('margins')}"
    pooled = pool if family.order == "project-pool-compress" else lambda features: features
    check_graphs(family, model, made, out, lambda features: with_newlines(family, model, pooled(features)))
    add_variants(family, model, made, out)
    if family.name == "llava":
        write_other_graphs(model, out / "onnx")
    images = {f"frame-{i}": frame for i, frame in enumerate(made["frames"])}
    about = {"frames": family.frames, "cls": family.cls, "clsKept": family.cls_kept}
    about |= {"order": family.order, "newline": family.newline}
    write_reference(family, made, images, about, out / "reference")


def make_pictures(family: Family, model, source: Path, out: Path) -> None:
    """The references of still pictures, which go through several crops."""
    for n, made in enumerate(pictures(family, model, source, PICTURES[family.name])):
        check_graphs(family, model, made, out, made["pack"])
        write_reference(family, made, {"picture": made["picture"]}, {}, out / "pictures" / str(n))


def make(family: Family) -> int:
    """Returns the bytes written."""
    out = OUT / family.name
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as source, torch.inference_mode():
        save(family, Path(source))
        model = export(source, out, ["fp32"])
        make_frames(family, model, Path(source), out)
        if family.name in PICTURES:
            make_pictures(family, model, Path(source), out)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


@torch.inference_mode()
def search(family: Family, count: int) -> None:
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            save(family, Path(folder), seed)
            facts = reference(family, new_model(family, seed)[0], Path(folder))["facts"]
        ratios = {way: a["gap"] / a["noise"] for way, a in facts["answers"].items()}
        if "margins" in facts:
            m = facts["margins"]
            ratios |= {"score": m["scoreGap"] / m["scoreNoise"], "cosine": m["cosineGap"] / m["cosineNoise"]}
        told = ", ".join(f"{name} {ratio:.0f}" for name, ratio in ratios.items())
        lengths = [len(a["ids"]) for a in facts["answers"].values()]
        print(f"{family.name} seed {seed}: {'clear' if is_clear(family, facts) else 'no'}; {told}; answers {lengths}")


def check_size() -> None:
    total = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    assert total <= MAX_BYTES, f"the fixtures take {total / 1e6:.1f} MB of at most {MAX_BYTES / 1e6:.1f}"
    print(f"{total / 1e6:.2f} MB in {OUT}")


def run_command(description: str, families: dict, make: Callable, search: Callable) -> None:
    """The command line of this file and of merger_fixtures.py: `make(family)` returns bytes, `search(family, seeds)` prints."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--family", nargs="+", choices=tuple(families), default=list(families))
    parser.add_argument("--search", type=int, metavar="SEEDS")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in args.family:
        if args.search:
            search(families[name], args.search)
            continue
        print(name)
        print(f"  {make(families[name]) / 1e3:.0f} kB")
    check_size()


if __name__ == "__main__":
    run_command(__doc__, FAMILIES, make, search)
