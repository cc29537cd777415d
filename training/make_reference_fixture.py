"""Writes test/fixtures/reference: what transformers' own LLaVA, in float32, makes of twenty clips.

Tower outputs, prompts, logits and greedy answers of LlavaForConditionalGeneration with the weights of models/nano, taken out of
its graphs: with all visual tokens, and with VisionZip written here from its published description. At the end
test/reference.test.ts runs the shipped graphs on the same inputs, so that the fixture cannot belong to another model.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import tempfile
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from load_nano import load_language, load_tower
from PIL import Image
from transformers import AutoTokenizer, GenerationConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

ROOT = Path(__file__).parent.parent
OUT = ROOT / "test/fixtures/reference"
CLIPS, MAX_NEW_TOKENS, MAX_BYTES = 20, 12, 3e6
# A clip in which VisionZip's choice hangs on less than this (relative, of scores or cosines) is passed over.
NEAR_TIE = 3e-6


def load_model(folder: Path):
    """transformers' model with the folder's weights, and the projector for compressed tokens."""
    model = LlavaForConditionalGeneration(LlavaConfig.from_pretrained(folder)).float().eval()
    model.set_attn_implementation("eager")
    model.generation_config = GenerationConfig.from_pretrained(folder)
    language, projector, tuned = load_language(folder)
    text = {name.removeprefix("model."): weight for name, weight in language.state_dict().items()}
    model.lm_head.weight.data = text.pop("lm_head.weight")
    model.model.language_model.load_state_dict(text)
    model.model.vision_tower.load_state_dict(load_tower(folder).state_dict())
    model.model.multi_modal_projector.load_state_dict(projector.state_dict())
    return model, tuned


def load_processor(folder: Path, config: LlavaConfig) -> LlavaProcessor:
    return LlavaProcessor(
        CLIPImageProcessorPil.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=(folder / "chat_template.jinja").read_text(),
    )


def read_clips(shard: Path):
    """3 or 4 frames of a clip (F, 96, 96, 3), their times, and its first and last question."""
    rows = [json.loads(line) for line in shard.read_text().splitlines()]
    pixels = np.memmap(shard.with_suffix(".pixels"), np.uint8, "r").reshape(len(rows), -1, 96, 96, 3)
    for c, row in enumerate(rows):
        view = next(view for view in row["views"] if len(view["frames"]) >= 4)
        at = np.linspace(0, len(view["frames"]) - 1, 3 + c % 2).astype(int)
        asked = [q["question"] for q in view["questions"]]
        if len(asked) > 1:
            yield c, pixels[c, np.array(view["frames"])[at]], [view["ptsSeconds"][i] for i in at], [asked[0], asked[-1]]


def run_tower(model, pixel_values):
    """hidden (F, N, D), attention (F, heads, N, N), keys (F, N, K) of the selected layer and its block."""
    tower, layer = model.model.vision_tower, model.config.vision_feature_layer
    seen = []
    hook = tower.encoder.layers[layer].self_attn.k_proj.register_forward_hook(lambda _m, _i, out: seen.append(out))
    states = tower(pixel_values, output_hidden_states=True, output_attentions=True)
    hook.remove()
    heads = tower.config.num_attention_heads
    keys = seen[0].unflatten(2, (heads, -1)).mean(2)
    return states.hidden_states[layer], states.attentions[layer], keys


def visionzip(hidden, attention, keys, dominant: int, contextual: int) -> dict:
    """One frame: arXiv 2412.04467, section 3.2. `margin`: the relative difference that its closest choice hangs on."""
    score, order = attention[:, 0, 1:].sum(0).sort(descending=True, stable=True)
    kept = [0, *sorted((order[: dominant - 1] + 1).tolist())]
    rest = [i for i in range(len(hidden)) if i not in kept]
    targets = [rest[c * max(1, len(rest) // contextual)] for c in range(contextual)]
    members = [[target] for target in targets]
    margins = [1 - score[dominant - 1] / score[dominant - 2]]
    for i in rest:
        if i not in targets:
            cosine = F.cosine_similarity(keys[i], keys[targets], dim=-1)
            members[cosine.argmax()].append(i)
            best, second = cosine.topk(2).values
            margins.append(best - second)
    merged = [hidden[t] + (hidden[joined].mean(0) if joined else 0) for t, *joined in members]
    tokens = torch.cat([hidden[kept], torch.stack(merged)])
    return {"tokens": tokens, "dominant": kept, "members": members, "margin": float(min(margins))}


def seconds(t: float) -> str:
    """As JavaScript's toFixed(1): 3.25 is 3.3, where Python's formatting has 3.2."""
    return f"{Decimal(t).quantize(Decimal('0.1'), ROUND_HALF_UP)}s"


def render(processor: LlavaProcessor, frames, times, question: str) -> tuple[dict, list[int]]:
    """The processor's inputs, each <image> as 144 ids, and the same prompt with one id a frame."""
    images = [Image.fromarray(frame) for frame in frames]
    parts = [p for t in times for p in ({"type": "text", "text": seconds(t)}, {"type": "image"})]
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(text=text, images=images, add_special_tokens=False, return_tensors="pt")
    one_each = processor.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    expanded = [i for id in one_each for i in [id] * (144 if id == processor.image_token_id else 1)]
    assert inputs["input_ids"][0].tolist() == expanded
    return inputs, one_each


def compressed_embeds(model, projector, ids: list[int], tokens):
    """(1, S, H): each image token's place holds a frame's compressed tokens (F, T, D), projected."""
    text = model.get_input_embeddings()(torch.tensor(ids))
    visual = iter(projector(tokens))
    image = model.config.image_token_id
    return torch.cat([next(visual) if id == image else text[i : i + 1] for i, id in enumerate(ids)])[None]


def answer(model, inputs: dict) -> tuple[np.ndarray, list[int]]:
    """Logits (V) of the prompt's last position, and the greedy answer's ids with the end token."""
    logits = model(**inputs).logits[0, -1]
    start = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)[0, start:].tolist()
    return logits.numpy(), ids


def reference(model, projector, processor, budget, frames, times, questions) -> dict | None:
    """Everything about one clip; None where VisionZip is too close to a tie for two implementations to agree."""
    prompts = [render(processor, frames, times, question) for question in questions]
    pixel_values = prompts[0][0]["pixel_values"]
    tower = run_tower(model, pixel_values)
    zipped = [visionzip(*frame, **budget) for frame in zip(*tower)]
    if min(frame["margin"] for frame in zipped) < NEAR_TIE:
        return None
    tokens = torch.stack([frame["tokens"] for frame in zipped])
    asked, logits = [], []
    for question, (inputs, ids) in zip(questions, prompts):
        embeds = compressed_embeds(model, projector, ids, tokens)
        (a, all_ids), (b, zip_ids) = answer(model, dict(inputs)), answer(model, {"inputs_embeds": embeds})
        asked.append({"question": question, "promptIds": ids, "answerIds": {"none": all_ids, "visionzip": zip_ids}})
        logits.append([a, b])
    hidden, attention, keys = tower
    scores = attention[:, :, 0, 1:].sum(1)
    arrays = {"hidden": hidden, "keys": keys, "scores": scores, "compressed": tokens}
    first = {name: array[0].numpy() for name, array in arrays.items()}
    zip_rows = {"dominantIndices": zipped[0]["dominant"], "contextualMembers": zipped[0]["members"]}
    return {
        "arrays": {"frames": frames, **first, "logits": np.array(logits)},
        "json": {"ptsSeconds": times, "questions": asked, **zip_rows},
    }


def decoded_frames(processor: LlavaProcessor) -> tuple[np.ndarray, np.ndarray]:
    """Two frames of a generated clip as ffmpeg decodes them (2, H, W, 3), and the processor's pixel_values."""
    with tempfile.TemporaryDirectory() as folder:
        clips = ["node", str(ROOT / "dist/scripts/clips.js"), "--seed", "7", "--count", "1", "--out", folder]
        subprocess.run(clips, check=True, capture_output=True)
        video = str(next(Path(folder).glob("*.mp4")))
        pick = ["-vf", "select=not(mod(n\\,20))", "-fps_mode", "vfr", "-frames:v", "2"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", video, *pick, f"{folder}/%d.png"], check=True)
        images = [Image.open(f"{folder}/{i}.png").convert("RGB") for i in (1, 2)]
    values = processor.image_processor(images, return_tensors="np")["pixel_values"]
    return np.stack([np.asarray(image) for image in images]), np.asarray(values, np.float32)


def save(name: str, array: np.ndarray) -> int:
    """Row-major, gzip. Floats as four planes, all their lowest bytes first: a ninth smaller. Returns the bytes written."""
    array = np.ascontiguousarray(array)
    planes = array if array.dtype == np.uint8 else array.astype("<f4").reshape(-1, 1).view(np.uint8).T
    data = gzip.compress(planes.tobytes(), 9, mtime=0)
    return (OUT / f"{name}.{'u8' if array.dtype == np.uint8 else 'f32'}.gz").write_bytes(data)


def write(folder: Path, manifest: dict, clips: list[dict], decoded) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.stack([clip["arrays"][name] for clip in clips]) for name in clips[0]["arrays"] if name != "frames"
    }
    arrays["frames"] = np.concatenate([clip["arrays"]["frames"] for clip in clips])
    arrays |= {"decoded": decoded[0], "pixel_values": decoded[1]}
    total = sum(save(name, array) for name, array in arrays.items())
    assert total <= MAX_BYTES, f"the fixture takes {total / 1e6:.1f} MB of at most {MAX_BYTES / 1e6:.1f}"
    files = [*manifest["files"].values(), "tokenizer.json", "chat_template.jinja"]
    index = {
        "model": {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in sorted(set(files))},
        "budget": manifest["defaults"]["compression"],
        "maxNewTokens": MAX_NEW_TOKENS,
        "decodedSize": decoded[0].shape[2:0:-1],
        "clips": [clip["json"] for clip in clips],
    }
    (OUT / "index.json").write_text(json.dumps(index) + "\n")
    print(f"{len(clips)} clips, {total / 1e6:.2f} MB of arrays in {OUT}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "models/nano"))
    parser.add_argument("--shard", default="training/work/clips/validate/shard-0000.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(args.model)
    manifest = json.loads((folder / "visionzip.json").read_text())
    model, projector = load_model(folder)
    processor = load_processor(folder, model.config)
    clips = []
    with torch.inference_mode():
        for c, *clip in read_clips(Path(args.shard)):
            made = reference(model, projector, processor, manifest["defaults"]["compression"], *clip)
            if made:
                clips.append(made)
            else:
                print(f"clip {c}: too close to a tie")
            if len(clips) == CLIPS:
                break
    write(folder, manifest, clips, decoded_frames(processor))
    subprocess.run(["npx", "vitest", "run", "test/reference.test.ts"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
