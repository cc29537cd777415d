"""Times and memory of transformers in PyTorch, float32, for `npm run bench:published`. Prints one JSON object.

python training/published/torch_speed.py --weights DIR --threads 2 --runs 3 (--frame | --visual 576 --text 30)
"""

import argparse
import json
import resource
import time

import torch
from layout import language_model, vision_tower
from transformers import AutoModelForImageTextToText, DynamicCache


@torch.inference_mode()
def encode_frame(model, runs: int) -> dict:
    """One frame through the blocks that the selected layer needs."""
    tower, layer = vision_tower(model), model.config.vision_feature_layer
    if layer != -1:
        tower.encoder.layers = tower.encoder.layers[: layer + 1]
    size = model.config.vision_config.image_size
    return {"ms": timed(lambda: tower(torch.randn(1, 3, size, size)), runs)}


@torch.inference_mode()
def first_token(model, visual: int, text: int, runs: int) -> dict:
    """Visual tokens (visual, D) as they leave the tower, and the ids of `text` words -> the first token's id."""
    hidden = torch.randn(1, visual, model.config.vision_config.hidden_size)
    words = torch.arange(text)[None]
    prefill = []

    def once():
        embeds = torch.cat([model.get_input_embeddings()(words), model.model.multi_modal_projector(hidden)], 1)
        start = time.perf_counter()
        out = language_model(model)(inputs_embeds=embeds, past_key_values=DynamicCache(), use_cache=True)
        model.lm_head(out.last_hidden_state[:, -1]).argmax()
        prefill.append(1000 * (time.perf_counter() - start))

    return {"firstTokenMs": timed(once, runs), "prefillMs": prefill[1:]}


def timed(work, runs: int) -> list[float]:
    """Milliseconds of each run, after one to warm up."""
    ms = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        ms.append(1000 * (time.perf_counter() - start))
    return ms[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--frame", action="store_true")
    parser.add_argument("--visual", type=int)
    parser.add_argument("--text", type=int)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = AutoModelForImageTextToText.from_pretrained(args.weights, dtype=torch.float32).eval()
    measured = encode_frame(model, args.runs) if args.frame else first_token(model, args.visual, args.text, args.runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**measured, "peakKib": peak, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
