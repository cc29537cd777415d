"""Writes projector-METHOD.onnx for `npm run eval -- --projectors DIR` from checkpoints language-tuned-METHOD.pt."""

import argparse
from pathlib import Path

import torch
from config import SIZES, vision_config
from controls import CONTROLS
from decoder import Projector
from export import export_projector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", default="training/work", help="where the checkpoints are")
    parser.add_argument("--out", default="training/work/projectors")
    args = parser.parse_args()
    Path(args.out).mkdir(parents=True, exist_ok=True)
    projector = Projector(vision_config().hidden_size, SIZES["nano"]["hidden_size"]).eval()
    with torch.no_grad():
        for method in CONTROLS:
            checkpoint = Path(args.source, f"language-tuned-{method}.pt")
            if not checkpoint.exists():
                print(f"{checkpoint} is missing: no projector for {method}")
                continue
            projector.load_state_dict(torch.load(checkpoint)["projector"])
            export_projector(projector, Path(args.out, f"projector-{method}.onnx"))


if __name__ == "__main__":
    main()
