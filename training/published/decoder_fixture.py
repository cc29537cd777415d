"""Writes test/fixtures/decoder: a tiny Llama whose heads share keys and values, in the hub's layout, and what transformers gives.

    python training/published/decoder_fixture.py

Its heads are as wide as ONNX Runtime's GroupQueryAttention wants them, so that `appendToCache` changes it.
"""

import json
from pathlib import Path

import numpy as np
import torch
from architectures import draw_weights
from dtypes import remove_scratch
from layout import write_decoder, write_graphs
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).parents[2] / "test/fixtures/decoder"
TOKENS, SEED = 150, 0


def build() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval()
    draw_weights(model, SEED, [])
    return model


@torch.no_grad()
def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    model = build()
    write_graphs({"decoder_model_merged": lambda path: write_decoder(model, path)}, OUT / "onnx", ["fp32", "int8", "q4"])
    remove_scratch(OUT / "onnx")
    embeds = torch.randn(1, TOKENS, model.config.hidden_size, generator=torch.Generator().manual_seed(SEED))
    logits = model(inputs_embeds=embeds).logits[0]  # of every position
    embeds[0].numpy().astype("<f4").tofile(OUT / "embeds.f32")
    logits.numpy().astype("<f4").tofile(OUT / "logits.f32")
    text = {key: getattr(model.config, key) for key in ("model_type", "hidden_size", "num_attention_heads")}
    (OUT / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": text}, indent=2) + "\n")
    spread = np.abs(np.diff(logits.numpy(), axis=0)).mean()
    print(f"logits differ by {spread:.2f} from one position to the next")


if __name__ == "__main__":
    main()
