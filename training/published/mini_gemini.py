"""Exports Mini-Gemini (dvlab-research/MGM, arXiv 2403.18814), which transformers has no class for: layout.py's files.

    python training/published/mini_gemini.py --model MGM-7B --clip openai/clip-vit-large-patch14-336 \\
        --convnext FOLDER --out DIR [--dtype fp32 q4 …]

`--model`: a folder in MGM's own naming. `--convnext`: a folder with open_clip_pytorch_model.bin. Both towers default to
the paths in the model's config.json, and their weights to those in the model's folder, where it has them.

onnx/vision_encoder   pixel_values (B, 3, S, S), S = `image_size_aux` -> image_features (B, N, H): CLIP sees the picture
                      resized, ConvNeXt sees all of it, each of CLIP's patches looks at what ConvNeXt has in its place,
                      and the sum goes through the projector
"""

import argparse
import inspect
import json
import math
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from layout import write_decoder, write_embed_tokens, write_graph, write_graphs
from mini_gemini_settings import write_settings, write_tokenizer
from safetensors import safe_open
from timm.models.convnext import ConvNeXt
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, PreTrainedConfig

OWN_PARTS = ("model.vision_tower", "model.vlm_uni_", "model.mm_projector.")
LLAMA_FIELDS = {*LlamaConfig().to_dict(), "rope_theta", "rope_scaling"} - {*PreTrainedConfig().to_dict()}
XXLARGE = 384  # the only width that timm builds with another epsilon


def normed_linear(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out))


def projector(kind: str, width: int, out: int) -> nn.Module:
    """`mm_projector_type`: "linear", or "mlp2x_gelu" with 2 layers."""
    if kind == "linear":
        return nn.Linear(width, out)
    if not (kind.startswith("mlp") and kind.endswith("x_gelu")):
        raise ValueError(f"`mm_projector_type` {kind!r} is not supported")
    layers = [nn.Linear(width, out)]
    for _ in range(int(kind[3 : -len("x_gelu")]) - 1):
        layers += [nn.GELU(), nn.Linear(out, out)]
    return nn.Sequential(*layers)


class MiniGeminiVision(nn.Module):
    """pixel_values (B, 3, S, S) -> image_features (B, N, H). What is neither tower is named as in MGM's checkpoints."""

    def __init__(self, config: dict, clip: CLIPVisionModel, convnext: ConvNeXt):
        super().__init__()
        self.vision_tower, self.stem, self.stages = clip, convnext.stem, convnext.stages
        D, wide = clip.config.hidden_size, sum(stage["num_chs"] for stage in convnext.feature_info)
        self.vlm_uni_query_projector = normed_linear(D, D)
        self.vlm_uni_aux_projector = normed_linear(wide, D)
        self.vlm_uni_val_projector = normed_linear(wide, D)
        self.mm_projector = projector(config["mm_projector_type"], D, config["hidden_size"])
        self.layer = config["mm_vision_select_layer"]
        self.size, self.small, self.wide = config["image_size_aux"], clip.config.image_size, wide
        self.side = self.small // clip.config.patch_size
        self.grid = self.size // convnext.stem[0].stride[0]
        if self.grid % self.side:
            raise ValueError(
                f"{self.grid} × {self.grid} features do not divide among {self.side} × {self.side} patches"
            )

    def patches(self, pixel_values):
        """(B, N, D): CLIP's selected layer without CLS."""
        small = F.interpolate(pixel_values, size=(self.small, self.small), mode="bilinear", align_corners=False)
        return self.vision_tower(small, output_hidden_states=True).hidden_states[self.layer][:, 1:]

    def details(self, pixel_values):
        """(B, C, G, G): ConvNeXt's stages, all at the size of the first, one behind the other."""
        x, found = self.stem(pixel_values), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        first, *rest = found
        size = (self.grid, self.grid)
        return torch.cat([first, *(F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in rest)], 1)

    def mine(self, patches, details):
        """(B, N, D): what each patch finds among the details of its place."""
        n, p, C = self.side, self.grid // self.side, self.wide
        own = details.reshape(-1, C, n, p, n, p).permute(0, 2, 4, 3, 5, 1).reshape(-1, n * n, p * p, C)
        query, key = self.vlm_uni_query_projector(patches)[:, :, None], self.vlm_uni_aux_projector(own)
        attention = (query @ (key.transpose(-1, -2) / math.sqrt(key.shape[-1]))).softmax(-1)
        return (attention @ self.vlm_uni_val_projector(own)).squeeze(2)

    def mined(self, pixel_values):
        """(B, N, D): the tokens as the projector takes them."""
        patches = self.patches(pixel_values)
        return patches + self.mine(patches, self.details(pixel_values))

    def forward(self, pixel_values):
        return self.mm_projector(self.mined(pixel_values))


def check_supported(config: dict) -> None:
    if config.get("model_type") != "mgm":
        raise ValueError(f"`model_type` {config.get('model_type')!r}: expected 'mgm', Mini-Gemini with a Llama decoder")
    if config.get("image_grid", 1) > 1 or config.get("image_global", False):
        raise ValueError("`image_grid` above 1 or `image_global` (the HD models) is not supported")
    if config.get("mm_vision_select_feature", "patch") != "patch":
        raise ValueError("`mm_vision_select_feature`: expected 'patch'")
    if config.get("mm_use_im_start_end", False):
        raise ValueError("`mm_use_im_start_end` is not supported")


def shards(folder: Path) -> list[Path]:
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if index.exists():
            return [folder / file for file in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        if (folder / name).exists():
            return [folder / name]
    raise FileNotFoundError(f"{folder} holds neither model.safetensors nor pytorch_model.bin")


def read_tensors(path: Path, prefixes: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Those of one file whose names begin so, in float32."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name).float() for name in sorted(file.keys()) if name.startswith(prefixes)}
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return {name: tensor.float() for name, tensor in found.items() if name.startswith(prefixes)}


def under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def find_folder(given: str | None, named: str, model: Path) -> Path | None:
    for path in [Path(given)] if given else [model / named, Path(named)]:
        if path.is_dir():
            return path
    return None


def load_clip(source: str, weights: dict[str, torch.Tensor]) -> CLIPVisionModel:
    """`weights`: those of the checkpoint, often none; else the source's."""
    if not weights:
        return CLIPVisionModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    config = CLIPVisionConfig.from_pretrained(source, attn_implementation="eager")
    model = CLIPVisionModel(config)
    weights.pop("vision_model.embeddings.position_ids", None)  # of old versions of transformers
    model.load_state_dict({name.removeprefix("vision_model."): tensor for name, tensor in weights.items()})
    return model


def load_convnext(weights: dict[str, torch.Tensor]) -> ConvNeXt:
    """`weights` in timm's naming, stem and stages; their shapes say what to build."""
    blocks = [
        sorted(n for n in weights if n.startswith(f"stages.{i}.") and n.endswith("conv_dw.weight")) for i in range(4)
    ]
    kernels = [weights[names[0]] for names in blocks]
    dims = tuple(kernel.shape[0] for kernel in kernels)
    model = ConvNeXt(
        depths=tuple(len(names) for names in blocks),
        dims=dims,
        kernel_sizes=tuple(kernel.shape[-1] for kernel in kernels),
        patch_size=weights["stem.0.weight"].shape[-1],
        conv_mlp=weights["stages.0.blocks.0.mlp.fc1.weight"].ndim == 4,
        norm_eps=1e-5 if dims[0] == XXLARGE else None,
        num_classes=0,
    )
    model.head, model.norm_pre = nn.Identity(), nn.Identity()
    model.load_state_dict({name: tensor for name, tensor in weights.items() if name.startswith(("stem.", "stages."))})
    return model


def load_vision(folder: Path, config: dict, clip: str | None, convnext: str | None) -> MiniGeminiVision:
    own = {}
    for shard in shards(folder):
        own |= under(read_tensors(shard, OWN_PARTS), "model.")
    source = find_folder(clip, config["mm_vision_tower"], folder) or clip
    if source is None:
        raise FileNotFoundError(f"CLIP is not at {config['mm_vision_tower']}: name its folder or id with --clip")
    details = under(own, "vision_tower_aux.vision_")
    if not details:
        aux = find_folder(convnext, config["mm_vision_tower_aux"], folder)
        if aux is None:
            raise FileNotFoundError(
                f"ConvNeXt is not at {config['mm_vision_tower_aux']}: name its folder with --convnext"
            )
        details = under(read_tensors(aux / "open_clip_pytorch_model.bin", ("visual.trunk.",)), "visual.trunk.")
    tower = load_clip(str(source), under(own, "vision_tower.vision_tower."))
    vision = MiniGeminiVision(config, tower, load_convnext(details))
    rest = {name: tensor for name, tensor in own.items() if not name.startswith("vision_tower")}
    missing, unexpected = vision.load_state_dict(rest, strict=False)
    missing = [name for name in missing if name.startswith(("vlm_uni_", "mm_projector"))]
    if missing or unexpected:
        raise ValueError(f"{folder}: missing {missing}, unexpected {unexpected}")
    return vision.eval()


def load_decoder(folder: Path, config: dict, image_token: int) -> LlamaForCausalLM:
    """The embedding gets rows up to the placeholder's id; the head does not, so that no answer contains it."""
    llama = LlamaConfig.from_dict({name: value for name, value in config.items() if name in LLAMA_FIELDS})
    model, told = LlamaForCausalLM.from_pretrained(
        folder, config=llama, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if told["missing_keys"]:
        raise ValueError(f"{folder}: missing {sorted(told['missing_keys'])}")
    weight = model.model.embed_tokens.weight.detach()
    more = torch.zeros(max(0, image_token + 1 - len(weight)), weight.shape[1])
    model.model.embed_tokens = nn.Embedding.from_pretrained(torch.cat([weight, more]))
    return model.eval()


def write_vision_encoder(vision: MiniGeminiVision, path: Path) -> None:
    inputs = {"pixel_values": torch.randn(2, 3, vision.size, vision.size)}
    axes = {name: {0: "batch_size"} for name in ("pixel_values", "image_features")}
    write_graph(vision, path, inputs, ["image_features"], axes)


def export(
    source: str, out: Path, dtypes: list[str], clip: str | None = None, convnext: str | None = None
) -> tuple[dict, MiniGeminiVision, LlamaForCausalLM, int]:
    """`source`: a folder. Returns its config, both parts of the model, in float32, and the placeholder's id."""
    folder = Path(source)
    config = json.loads((folder / "config.json").read_text())
    check_supported(config)
    vision = load_vision(folder, config, clip, convnext)
    out.mkdir(parents=True, exist_ok=True)
    image_token = write_tokenizer(folder, out)
    decoder = load_decoder(folder, config, image_token)
    write_settings(folder, out, config, vision.vision_tower.config, decoder.config, image_token)
    writers = {
        "vision_encoder": partial(write_vision_encoder, vision),
        "embed_tokens": partial(write_embed_tokens, decoder),
        "decoder_model_merged": partial(write_decoder, decoder),
    }
    write_graphs(writers, out / "onnx", dtypes)
    return config, vision, decoder, image_token


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True, help="a folder in MGM's naming")
    parser.add_argument("--clip", help="folder or id on the hub; default: `mm_vision_tower`")
    parser.add_argument("--convnext", help="folder of OpenCLIP; default: `mm_vision_tower_aux`")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", nargs="+", choices=("fp32", "fp16", "int8", "q4", "external"), default=["fp32"])
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()  # the decoder's class would tell of every weight of the other parts
    export(args.model, Path(args.out), args.dtype, args.clip, args.convnext)
    for path in sorted((Path(args.out) / "onnx").iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path}")


if __name__ == "__main__":
    main()
