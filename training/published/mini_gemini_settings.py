"""What lies beside the graphs of a Mini-Gemini export: configuration, preprocessor, tokenizer and chat template."""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import CLIPVisionConfig, GenerationConfig, LlamaConfig, LlavaConfig, PreTrainedConfig
from transformers.convert_slow_tokenizer import generate_merges
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

TEMPLATE = Path(__file__).parent / "templates/mini_gemini.jinja"
IMAGE_TOKEN = "<image>"
LOADED = ("_name_or_path", "architectures", "dtype", "transformers_version")
NORMAL = 1  # SentencePiece's kind of a piece; the others are control, unknown and bytes


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def from_sentencepiece(path: Path) -> Tokenizer:
    """tokenizer.model of Llama, as its published tokenizer.json has it."""
    from transformers.utils import sentencepiece_model_pb2_new as sentencepiece

    pieces = sentencepiece.ModelProto.FromString(path.read_bytes()).pieces
    vocab = {piece.piece: i for i, piece in enumerate(pieces)}
    scores = {piece.piece: piece.score for piece in pieces}
    special = [piece.piece for piece in pieces if piece.type != NORMAL]
    merges = generate_merges(vocab, scores, special)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])]
    )
    add_special(tokenizer, ["<unk>", "<s>", "</s>"])
    return tokenizer


def add_special(tokenizer: Tokenizer, names: list[str]) -> None:
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])


def write_tokenizer(folder: Path, out: Path) -> int:
    """Returns the id of the placeholder, which MGM's own tokenizer lacks."""
    ready = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(ready)) if ready.exists() else from_sentencepiece(folder / "tokenizer.model")
    if tokenizer.token_to_id("</s>") is None:
        raise ValueError("the tokenizer has no </s>: only models that speak Vicuna's prompt are supported")
    add_special(tokenizer, [IMAGE_TOKEN])
    tokenizer.save(str(out / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(out / "tokenizer_config.json", {k: v for k, v in settings.items() if k != "chat_template"})
    shutil.copyfile(TEMPLATE, out / "chat_template.jinja")
    return tokenizer.token_to_id(IMAGE_TOKEN)


def image_processor(config: dict):
    size = config["image_size_aux"]
    sizes = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    if config.get("image_aspect_ratio") == "pad":
        return LlavaImageProcessorPil(**sizes, do_pad=True)
    return CLIPImageProcessorPil(**sizes)


def plain(config: PreTrainedConfig) -> dict:
    """Without what tells where it was loaded from."""
    return {name: value for name, value in config.to_dict().items() if name not in LOADED}


def write_settings(
    folder: Path, out: Path, config: dict, clip: CLIPVisionConfig, llama: LlamaConfig, image_token: int
) -> None:
    """MGM's own fields, and those that readers of LlavaConfig look for."""
    as_llava = LlavaConfig(text_config=plain(llama), vision_config=plain(clip)).to_diff_dict()
    added = {name: as_llava[name] for name in ("text_config", "vision_config")}
    write_json(out / "config.json", {**config, "image_token_index": image_token, **added})
    image_processor(config).save_pretrained(out)
    own = folder / "generation_config.json"
    if own.exists():
        shutil.copyfile(own, out / own.name)
        return
    ids = {name: getattr(llama, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(out)
