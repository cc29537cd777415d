"""Writes a model directory that the worker loads, and checks every graph against PyTorch."""

import argparse
import json
from pathlib import Path

import config
import numpy as np
import onnx
import onnxruntime as ort
import torch
from decoder import Projector, run_blocks
from tokenizers import Tokenizer
from tokens import save_tokenizer
from torch import nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LlavaConfig
from vision import keys_and_scores, new_tower, selected_block

TOLERANCE = 1e-4
NEVER = -1e30


class TowerGraph(nn.Module):
    """pixel_values (B, 3, 96, 96) -> hidden (B, 145, D), keys (B, 145, K), scores (B, 144)."""

    def __init__(self, tower):
        super().__init__()
        self.tower, self.selected = tower, selected_block(tower)

    def forward(self, pixel_values):
        x = self.tower.pre_layrnorm(self.tower.embeddings(pixel_values))
        for block in self.tower.encoder.layers[: self.selected]:
            x = block(x, None)
        block = self.tower.encoder.layers[self.selected]
        return block(x, None), *keys_and_scores(block, x)


class DecoderGraph(nn.Module):
    """Prefill and decode steps in one graph; the cache comes in as 2 tensors a block, and goes out grown."""

    def __init__(self, model: LlamaForCausalLM):
        super().__init__()
        self.model = model

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        S, total = inputs_embeds.shape[1], attention_mask.shape[1]
        # Query s stands at total - S + s and looks at keys up to itself.
        later = torch.arange(total)[None] > torch.arange(S)[:, None] + (total - S)
        hidden = later[None, None] | (attention_mask[:, None, None, :] == 0)
        bias = hidden.float() * NEVER
        pairs = list(zip(past[::2], past[1::2]))
        x, present = run_blocks(self.model, inputs_embeds, position_ids, bias, pairs)
        return self.model.lm_head(x[:, -1:]), *[t for pair in present for t in pair]


def write_graph(module: nn.Module, path: Path, inputs: dict, outputs: list[str], dynamic: dict) -> None:
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes=dynamic,
        opset_version=17,
        dynamo=False,
        do_constant_folding=True,
    )
    onnx.checker.check_model(str(path))


def export_tower(tower, folder: Path) -> None:
    x = torch.randn(2, 3, config.IMAGE_SIZE, config.IMAGE_SIZE)
    names = ["hidden", "keys", "scores"]
    path = folder / "vision_tower.onnx"
    write_graph(
        TowerGraph(tower),
        path,
        {"pixel_values": x},
        names,
        {n: {0: "batch"} for n in ["pixel_values", *names]},
    )
    x = torch.randn(5, 3, config.IMAGE_SIZE, config.IMAGE_SIZE)
    hidden, keys, scores = run(path, {"pixel_values": x})
    states = tower(x, output_hidden_states=True, output_attentions=True)
    check("hidden", hidden, states.hidden_states[config.FEATURE_LAYER])
    check("scores", scores, states.attentions[config.FEATURE_LAYER][:, :, 0, 1:].sum(1))
    check(
        "keys",
        keys,
        keys_and_scores(tower.encoder.layers[selected_block(tower)], states.hidden_states[config.FEATURE_LAYER - 1])[0],
    )


def export_projector(projector: Projector, path: Path) -> None:
    T, D = 15, projector.linear_1.in_features
    write_graph(
        projector,
        path,
        {"hidden": torch.randn(T, D)},
        ["visual_tokens"],
        {"hidden": {0: "tokens"}, "visual_tokens": {0: "tokens"}},
    )
    x = torch.randn(5, D)
    check("visual_tokens", run(path, {"hidden": x})[0], projector(x))


def export_decoder(model: LlamaForCausalLM, folder: Path) -> None:
    c = model.config
    write_graph(
        model.model.embed_tokens,
        folder / "embed_tokens.onnx",
        {"input_ids": torch.tensor([[1, 2, 3]])},
        ["inputs_embeds"],
        {n: {0: "batch", 1: "tokens"} for n in ("input_ids", "inputs_embeds")},
    )
    S, past = 3, 4
    cache = {
        f"past_key_values.{i}.{part}": torch.randn(2, c.num_key_value_heads, past, c.head_dim)
        for i in range(c.num_hidden_layers)
        for part in ("key", "value")
    }
    inputs = {
        "inputs_embeds": torch.randn(2, S, c.hidden_size),
        "attention_mask": torch.ones(2, past + S).long(),
        "position_ids": torch.arange(past, past + S).expand(2, S),
        **cache,
    }
    present = [name.replace("past_key_values", "present") for name in cache]
    dynamic = {
        "inputs_embeds": {0: "batch", 1: "tokens"},
        "attention_mask": {0: "batch", 1: "total"},
        "position_ids": {0: "batch", 1: "tokens"},
        "logits": {0: "batch"},
        **{name: {0: "batch", 2: "past"} for name in cache},
        **{name: {0: "batch", 2: "total"} for name in present},
    }
    write_graph(DecoderGraph(model), folder / "decoder.onnx", inputs, ["logits", *present], dynamic)
    check_decoder(model, folder)


def check_decoder(model: LlamaForCausalLM, folder: Path) -> None:
    """Against transformers: one shot, and prefill in two parts followed by decode steps."""
    c = model.config
    ids = torch.randint(0, c.vocab_size, (1, 40))
    embeds = run(folder / "embed_tokens.onnx", {"input_ids": ids})[0]
    expected = model(input_ids=ids).logits
    session = ort.InferenceSession(str(folder / "decoder.onnx"))
    for parts in ([40], [20, 10, 9, 1], [1] * 40):
        past, end = (
            [np.zeros((1, c.num_key_value_heads, 0, c.head_dim), np.float32)] * (2 * c.num_hidden_layers),
            0,
        )
        for S in parts:
            start, end = end, end + S
            feed = {
                "inputs_embeds": embeds[:, start:end],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(start, end)[None],
            }
            names = [i.name for i in session.get_inputs() if i.name.startswith("past")]
            logits, *past = session.run(None, {**feed, **dict(zip(names, past))})
            check(f"logits {parts[:4]} at {end}", logits[:, 0], expected[:, end - 1], quiet=end < 40)


def run(path: Path, inputs: dict) -> list[np.ndarray]:
    return ort.InferenceSession(str(path)).run(None, {name: value.numpy() for name, value in inputs.items()})


def check(name: str, actual: np.ndarray, expected: torch.Tensor, quiet: bool = False) -> None:
    error = np.abs(actual - expected.numpy()).max()
    if not quiet:
        print(f"{name}: max abs difference {error:.1e}")
    assert actual.shape == tuple(expected.shape) and error <= TOLERANCE, f"{name}: {error} {actual.shape}"


def write_settings(folder: Path, text: LlamaConfig, name: str) -> None:
    llava = LlavaConfig(
        vision_config=config.vision_config(),
        text_config=text,
        image_token_index=3,
        projector_hidden_act="gelu",
        vision_feature_layer=config.FEATURE_LAYER,
        vision_feature_select_strategy="default",
        image_seq_length=config.PATCHES,
        architectures=["LlavaForConditionalGeneration"],
        dtype="float32",
        tie_word_embeddings=False,
    )
    llava.to_json_file(folder / "config.json", use_diff=False)
    GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=False, max_new_tokens=16).to_json_file(
        folder / "generation_config.json"
    )
    size = config.IMAGE_SIZE
    preprocessor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(config.IMAGE_MEAN),
        "image_std": list(config.IMAGE_STD),
        "do_convert_rgb": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    names = {
        "visionTower": "vision_tower",
        "projector": "projector",
        "projectorTuned": "projector_tuned",
        "embedTokens": "embed_tokens",
        "decoder": "decoder",
    }
    manifest = {
        "formatVersion": 1,
        "name": name,
        "family": "llava",
        "dtype": "fp32",
        "files": {key: f"onnx/{file}.onnx" for key, file in names.items() if (folder / f"onnx/{file}.onnx").exists()},
        "tower": {
            "cls": True,
            "selectedLayer": config.FEATURE_LAYER,
            "grid": {"rows": config.GRID, "columns": config.GRID},
            "width": 128,
            "keyWidth": 32,
        },
        "order": "compress-project",
        "newlineTokens": "none",
        "contextLength": text.max_position_embeddings,
        "frameTimes": True,
        "defaults": {
            "frames": config.FRAMES,
            "mostFrames": config.MOST_FRAMES,
            "compression": {"dominant": config.DOMINANT, "contextual": config.CONTEXTUAL},
        },
    }
    (folder / "visionzip.json").write_text(json.dumps(manifest, indent=2) + "\n")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", help="train_tower.py's checkpoint; random weights without it")
    parser.add_argument("--from", dest="start", help="a model's folder whose tower and tokenizer are taken as they are")
    parser.add_argument("--language", help="train_language.py's checkpoint; random weights without it")
    parser.add_argument("--tuned", help="train_language.py's checkpoint of the projector for compressed tokens")
    parser.add_argument("--size", choices=tuple(config.SIZES), default="nano", help="of the decoder")
    parser.add_argument("--tokenizer", help="default: training/work/tokenizer.json, or that of --from")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


def load_modules(args: argparse.Namespace, text: LlamaConfig) -> tuple:
    torch.manual_seed(0)
    tower, model = new_tower().eval(), LlamaForCausalLM(text).eval()
    projector = Projector(tower.config.hidden_size, text.hidden_size).eval()
    if args.tower:
        tower.load_state_dict(torch.load(args.tower)["tower"])
    if args.language:
        saved = torch.load(args.language)
        projector.load_state_dict(saved["projector"]), model.load_state_dict(saved["model"])
    return tower, projector, model


def tuned_projector(args: argparse.Namespace) -> dict | None:
    """Of a checkpoint of its own, or of train_long.py's, which holds both."""
    if args.tuned:
        return torch.load(args.tuned)["projector"]
    return torch.load(args.language).get("tuned") if args.language else None


def main() -> None:
    args = parse_args()
    tokenizer = Tokenizer.from_file(
        args.tokenizer or (f"{args.start}/tokenizer.json" if args.start else "training/work/tokenizer.json")
    )
    text = config.text_config(tokenizer.get_vocab_size(), args.size)
    tower, projector, model = load_modules(args, text)
    folder = Path(args.out)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        if args.start:
            (folder / "onnx/vision_tower.onnx").write_bytes(Path(args.start, "onnx/vision_tower.onnx").read_bytes())
        else:
            export_tower(tower, folder / "onnx")
        export_projector(projector, folder / "onnx/projector.onnx")
        if tuned := tuned_projector(args):
            projector.load_state_dict(tuned)
            export_projector(projector, folder / "onnx/projector_tuned.onnx")
        export_decoder(model, folder / "onnx")
    write_settings(folder, text, folder.name)
    save_tokenizer(tokenizer, folder, text.max_position_embeddings)
    print(f"{sum(f.stat().st_size for f in folder.rglob('*.onnx')) / 1e6:.1f} MB of graphs in {folder}")


if __name__ == "__main__":
    main()
