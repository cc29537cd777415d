"""Writes test/fixtures/published/mini_gemini: a tiny Mini-Gemini at random weights, saved as MGM saves one, exported, and
what PyTorch makes of two frames, with all visual tokens and with VisionZip.

    python training/published/mini_gemini_fixture.py
    python training/published/mini_gemini_fixture.py --search 8      # seeds whose choices are far from a tie
    python training/published/mini_gemini_fixture.py --source DIR    # only the folder in MGM's naming

VisionZip takes CLIP's tokens with what was mined for them, before the projector. Scores and keys are CLIP's own.
"""

import argparse
import copy
import inspect
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import transformers
import vocabulary
from families import clip_vision, draw_weights, llama, spread, write_json
from make_fixtures import OUT, check, greedy, run, session, write_reference
from mini_gemini import MiniGeminiVision, export
from mini_gemini_settings import image_processor
from reference import QUESTION, answer, draw_frames, embed, is_clear, visionzip
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt
from transformers import CLIPVisionModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED, SIZE, FRAMES = 10, 168, 2
DIMS = (8, 12, 16, 24)
FAMILY = SimpleNamespace(name="mini_gemini", order="compress-project", dominant=7, contextual=3)
CLIP, CONVNEXT = "clip-vit-tiny", "openclip-convnext-tiny"


def mgm_config(text: LlamaConfig) -> dict:
    """config.json as MGM writes it."""
    names = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act"
    )
    names += (
        " max_position_embeddings rms_norm_eps attention_bias bos_token_id eos_token_id tie_word_embeddings use_cache"
    )
    return {
        "architectures": ["MGMLlamaForCausalLM"],
        "model_type": "mgm",
        **{name: getattr(text, name) for name in names.split()},
        "pad_token_id": 0,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "torch_dtype": "float32",
        "image_aspect_ratio": "pad",
        "image_grid": 1,
        "image_global": False,
        "image_size_aux": SIZE,
        "mm_hidden_size": 32,
        "mm_hidden_size_aux": sum(DIMS),
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": CLIP,
        "mm_vision_tower_aux": CONVNEXT,
        "optimize_vision_tower": False,
        "optimize_vision_tower_aux": False,
    }


def new_parts(seed: int) -> tuple[dict, MiniGeminiVision, LlamaForCausalLM, object]:
    """config.json as MGM writes it, both parts and the tokenizer."""
    tokenizer = vocabulary.llama_tokenizer([])
    decoder = LlamaForCausalLM(llama(tokenizer)).eval()
    draw_weights(decoder, seed, [tokenizer.token_to_id(token) for token in ("<unk>", "<s>")])
    config = mgm_config(decoder.config)
    convnext = ConvNeXt(depths=(1, 1, 2, 1), dims=DIMS, num_classes=0)
    vision = MiniGeminiVision(config, CLIPVisionModel(clip_vision()), convnext).eval()
    draw_vision(vision, seed)
    return config, vision, decoder, tokenizer


@torch.no_grad()
def draw_vision(vision: MiniGeminiVision, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(vision.named_parameters()):
        normed = p.ndim == 1 and name.endswith("weight")
        p.copy_(torch.randn(p.shape, generator=generator) * (0.1 if normed else spread(name, p)))
        if normed:
            p.add_(1)


def named_by_mgm(vision: MiniGeminiVision, prefix: str) -> dict[str, torch.Tensor]:
    return {f"model.{name}": p for name, p in vision.state_dict().items() if name.startswith(prefix)}


def save(folder: Path, seed: int) -> None:
    """As MGM saves one: safetensors in two shards, the towers in folders of their own."""
    config, vision, decoder, tokenizer = new_parts(seed)
    write_json(folder / "config.json", config)
    parts = [decoder.state_dict(), named_by_mgm(vision, "vlm_uni_") | named_by_mgm(vision, "mm_projector")]
    names = [f"model-{i}-of-00002.safetensors" for i in ("00001", "00002")]
    for name, part in zip(names, parts):
        save_file(part, folder / name, {"format": "pt"})
    where = {key: name for name, part in zip(names, parts) for key in part}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    vision.vision_tower.save_pretrained(folder / CLIP)
    trunk = {
        f"visual.trunk.{name}": p for name, p in vision.state_dict().items() if name.startswith(("stem", "stages"))
    }
    (folder / CONVNEXT).mkdir()
    torch.save(trunk, folder / CONVNEXT / "open_clip_pytorch_model.bin")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<unk>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)


def run_tower(vision: MiniGeminiVision, pixel_values):
    """hidden (F, N, D) with what was mined, keys (F, N, K), scores (F, N) of CLS: no row of CLS among them."""
    tower, seen = vision.vision_tower, []
    block = tower.encoder.layers[vision.layer].self_attn
    hooks = [
        block.k_proj.register_forward_hook(lambda _m, _i, out: seen.append(out)),
        block.register_forward_hook(lambda _m, _i, out: seen.append(out[1])),
    ]
    hidden = vision.mined(pixel_values)
    for hook in hooks:
        hook.remove()
    keys, attention = seen
    keys = keys.unflatten(2, (tower.config.num_attention_heads, -1)).mean(2)
    return hidden, keys[:, 1:], attention[:, :, 0, 1:].sum(1)


def compress(hidden, keys, scores) -> list[dict]:
    return [visionzip(*frame, FAMILY.dominant, FAMILY.contextual) for frame in zip(hidden, keys, scores)]


def margins(vision: MiniGeminiVision, pixel_values, scores, frames: list[dict]) -> dict:
    """The gaps of scores and cosines, and what float64 moves them by."""
    exact = run_tower(copy.deepcopy(vision).double(), pixel_values.double())
    true = compress(*exact)
    choices = ("dominantIndices", "contextualMembers")
    same = all(a[key] == b[key] for a, b in zip(frames, true) for key in choices)
    assert same
    return {
        "scoreGap": min(frame["scoreGap"] for frame in frames),
        "scoreNoise": float((scores - exact[2]).abs().max()),
        "cosineGap": min(frame["cosineGap"] for frame in frames),
        "cosineNoise": float(max((a["cosine"] - b["cosine"]).abs().max() for a, b in zip(frames, true))),
        "sameChoices": same,
    }


def render(folder: Path, placeholder: int, per_frame: int) -> dict:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    content = [{"type": "image"}] * FRAMES + [{"type": "text", "text": QUESTION}]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=(folder / "chat_template.jinja").read_text(),
        add_generation_prompt=True,
        tokenize=False,
    )
    ids = tokenizer(prompt)["input_ids"]
    assert ids.count(placeholder) == FRAMES
    expanded = [i for i in ids for _ in range(per_frame if i == placeholder else 1)]
    return {"prompt": prompt, "promptIds": ids, "expandedIds": expanded}


@torch.inference_mode()
def reference(
    config: dict, vision: MiniGeminiVision, decoder: LlamaForCausalLM, folder: Path, placeholder: int
) -> dict:
    """All arrays and all of reference.json, for a model whose export is in `folder`."""
    frames, images = draw_frames(FRAMES), image_processor(config)
    pixel_values = torch.from_numpy(np.asarray(images(frames, return_tensors="np")["pixel_values"], np.float32))
    hidden, keys, scores = run_tower(vision, pixel_values)
    zipped = compress(hidden, keys, scores)
    visual = {
        "all": vision(pixel_values).flatten(0, 1),
        "visionzip": vision.mm_projector(torch.stack([frame["tokens"] for frame in zipped])).flatten(0, 1),
    }
    rendered = render(folder, placeholder, len(visual["all"]) // FRAMES)
    ways = {
        way: embed(decoder, rendered["expandedIds"], visual[of], placeholder)
        for way, of in (("none", "all"), ("visionzip", "visionzip"))
    }
    answers = {way: answer(decoder, embeds) for way, embeds in ways.items()}
    arrays = {"pixel_values": pixel_values, "hidden": hidden, "keys": keys, "scores": scores}
    arrays |= {f"visual_{of}": tokens for of, tokens in visual.items()}
    arrays |= {f"logits_{way}": given.pop("logits") for way, given in answers.items()}
    facts = {
        "imageProcessor": type(images).__name__,
        "question": QUESTION,
        **rendered,
        "placeholderId": placeholder,
        **{key: [frame[key] for frame in zipped] for key in ("dominantIndices", "contextualMembers")},
        "margins": margins(vision, pixel_values, scores, zipped),
        "answers": answers,
    }
    return {"frames": frames, "arrays": {k: v.numpy() for k, v in arrays.items()}, "facts": facts, "ways": ways}


@torch.inference_mode()
def check_graphs(made: dict, decoder: LlamaForCausalLM, folder: Path) -> None:
    """The exported graphs against PyTorch."""
    arrays, facts = made["arrays"], made["facts"]
    features = run(session(folder, "vision_encoder"), {"pixel_values": arrays["pixel_values"]})[0]
    check("image features", features.reshape(-1, features.shape[-1]), arrays["visual_all"])
    tokens, graph = session(folder, "embed_tokens"), session(folder, "decoder_model_merged")
    ids = torch.tensor([facts["expandedIds"]])
    check("embeddings", run(tokens, {"input_ids": ids.numpy()})[0], decoder.get_input_embeddings()(ids))
    like_llava = SimpleNamespace(config=SimpleNamespace(text_config=decoder.config))
    for way, embeds in made["ways"].items():
        expected = facts["answers"][way]["ids"]
        logits, given = greedy(graph, tokens, like_llava, embeds.numpy(), len(expected))
        check(f"logits, {way}", logits, decoder(inputs_embeds=embeds).logits)
        check(f"last logits, {way}", logits[0, -1], arrays[f"logits_{way}"])
        assert given == expected, f"{way}: {given} {expected}"


def make_reference(seed: int, out: Path) -> tuple[dict, LlamaForCausalLM]:
    """Also writes the export."""
    with tempfile.TemporaryDirectory() as source:
        save(Path(source), seed)
        config, vision, decoder, placeholder = export(source, out, ["fp32"])
    return reference(config, vision, decoder, out, placeholder), decoder


def search(count: int) -> None:
    for seed in range(count):
        with tempfile.TemporaryDirectory() as out:
            facts = make_reference(seed, Path(out))[0]["facts"]
        m = facts["margins"]
        ratios = {way: a["gap"] / a["noise"] for way, a in facts["answers"].items()}
        ratios |= {name: m[f"{name}Gap"] / m[f"{name}Noise"] for name in ("score", "cosine")}
        told = ", ".join(f"{name} {ratio:.0f}" for name, ratio in ratios.items())
        lengths = [len(a["ids"]) for a in facts["answers"].values()]
        print(f"seed {seed}: {'clear' if is_clear(FAMILY, facts) else 'no'}; {told}; answers {lengths}")


def make(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    made, decoder = make_reference(SEED, out)
    assert is_clear(FAMILY, made["facts"]), f"a choice is too close to a tie: {made['facts']['margins']}"
    check_graphs(made, decoder, out)
    images = {f"frame-{i}": frame for i, frame in enumerate(made["frames"])}
    about = {"frames": FRAMES, "cls": True, "clsKept": False, "order": FAMILY.order, "newline": "none"}
    write_reference(FAMILY, made, images, about, out / "reference")
    print(f"  {sum(file.stat().st_size for file in out.rglob('*') if file.is_file()) / 1e3:.0f} kB in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--search", type=int, metavar="SEEDS")
    parser.add_argument("--source", metavar="DIR")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if args.source:
        Path(args.source).mkdir(parents=True)
        save(Path(args.source), SEED)
    elif args.search:
        search(args.search)
    else:
        make(OUT / FAMILY.name)


if __name__ == "__main__":
    main()
