"""Tiny tokenizers of the three kinds that the families use, with the pipelines of the published tokenizer.json."""

import json

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPUS = (
    "what is in the video? what does the person do? how many red, green and blue rectangles are there? "
    "which colour is the largest rectangle? where does the blue rectangle move? what happens at the end of the video? "
    "you are a helpful assistant. answer the question. user: assistant: system the frame from the series of frames"
)
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = 40


def learn_merges(pre_tokenizer, alphabet: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The characters seen and the first `MERGES` merges of the corpus."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=10_000, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([CORPUS], trainer)
    state = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in state["merges"][:MERGES]]
    return [token for token in state["vocab"] if len(token) == 1], merges


def llama_tokenizer(added: list[str]) -> Tokenizer:
    """SentencePiece as converted: a space is ▁, one goes first, also after a special token; else bytes."""
    characters, merges = learn_merges(pre_tokenizers.Metaspace(), [])
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *characters, *map("".join, merges)]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    add_special(tokenizer, ["<unk>", "<s>", "</s>", *added])
    return tokenizer


def byte_level_tokenizer(split, normalizer, added: list[str]) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _, merges = learn_merges(split, alphabet)
    vocab = {token: i for i, token in enumerate([*alphabet, *map("".join, merges)])}
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    add_special(tokenizer, added)
    return tokenizer


def qwen_tokenizer(added: list[str]) -> Tokenizer:
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return byte_level_tokenizer(split, normalizers.NFC(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *added])


def smol_tokenizer(added: list[str]) -> Tokenizer:
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return byte_level_tokenizer(split, None, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *added])


def smol_tokens() -> list[str]:
    """What SmolVLM writes around a picture's tokens, in the order of its published ids."""
    crops = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    return ["<global-img>", *crops, "<fake_token_around_image>", "<image>", "<end_of_utterance>"]


def add_special(tokenizer: Tokenizer, names: list[str]) -> None:
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])
