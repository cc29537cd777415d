"""The tokenizer (byte-level BPE of its own), the chat template, and prompts as the runtime renders them."""

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, EOS, IMAGE = "<pad>", "<s>", "</s>", "<image>"
SPECIAL = [PAD, BOS, EOS, IMAGE]  # ids 0, 1, 2, 3
VOCABULARY = 1024

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ 'USER:' if loop.first else ' USER:' }}"
    "{%- else -%}{{ ' ASSISTANT:' }}{%- endif -%}"
    "{%- if message['content'] is string -%}{{ ' ' + message['content'] }}"
    "{%- else -%}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{ '<image>' }}{%- else -%}{{ ' ' + part['text'] }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message['role'] != 'user' -%}{{ '</s>' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}"
)

# Common words beside the questions' own, so that a question in other words is not spelled letter by letter.
ENGLISH = """
Is there a thing in the picture? Are there any things on the left side or on the right side of the frame? What is it
doing now, and where does it go after that? Who, when, why: please describe what happens at the start, in the middle
and at the end of the clip. Does it stay still, stop, or turn around? Which one is larger, smaller, faster, slower,
above, below, near, far, between, first, last, next to it? Tell me about the background. yes no none one two three
four five six seven eight nine ten black brown pink grey gray cyan dark light big small image frame scene second time
"""


def train_tokenizer(questions: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    # As Llama 3 does it, but a time stays in one piece.
    pieces = pre_tokenizers.Split(Regex(r" ?\d+\.\d+s| ?[A-Za-z]+| ?\d| ?[^\sA-Za-z\d]+|\s+"), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    # The times of short clips become one token each: a frame is then looked up by one name.
    times = [f" {t / 10:.1f}s" for t in range(200)] * 1000 + [f" {t / 10:.1f}s" for t in range(6000)]
    times += ["USER:", "ASSISTANT:"] * 2000
    places = [f" {row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "right")] * 500
    tokenizer.train_from_iterator([*questions, *times, *places, *re.findall(r"[^.?]+[.?]?", ENGLISH) * 50], trainer)
    return tokenizer


def render_time(seconds: float) -> str:
    """As the worker writes it: JavaScript's toFixed(1), which takes an exact half up."""
    return f"{Decimal(seconds).quantize(Decimal('0.1'), ROUND_HALF_UP)}s"


def render_prefix(pts_seconds: list[float]) -> str:
    """What the template renders before the question: every frame's time and its <image>."""
    return "USER:" + "".join(f" {render_time(pts)}{IMAGE}" for pts in pts_seconds)


def render_question(question: str) -> str:
    return f" {question} ASSISTANT:"


def render_answer(answer: str) -> str:
    return f" {answer}{EOS}"


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    added = {
        str(i): {
            "content": token,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "single_word": False,
            "special": True,
        }
        for i, token in enumerate(SPECIAL)
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "pad_token": PAD,
        "bos_token": BOS,
        "eos_token": EOS,
        "image_token": IMAGE,
        "additional_special_tokens": [IMAGE],
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
