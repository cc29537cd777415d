"""Draws docs/accuracy.svg, flash.svg and over-time.svg from the JSON of `npm run eval -- --json FILE`."""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent.parent / "docs"
# Okabe and Ito's colours, which differ for colour-blind readers too; VisionZip stands out, controls are thin.
COLOURS = {
    "visionzip": "#0072b2",
    "uniform": "#e69f00",
    "random": "#999999",
    "pool": "#009e73",
    "merge": "#cc79a7",
    "dominant": "#d55e00",
    "suppressed": "#56b4e9",
    "coverage": "#f0e442",
}
# Of the table of stages over time, by name: the default stands out, what does without VisionZip is dashed.
OVER_TIME = {
    "VisionZip, each frame for itself": ("#56b4e9", "-"),
    "static windows": ("#cc79a7", "-"),
    "budget by novelty": ("#d55e00", "-"),
    "windows and novelty": ("#009e73", "-"),
    "merged over the clip": ("#e69f00", "-"),
    "fewer frames, evenly, all tokens": ("#555555", "--"),
    "the last frames, all tokens": ("#999999", "--"),
    "all frames at a lower resolution": ("#bbbbbb", "--"),
}

plt.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: small files
        "svg.hashsalt": "visionzip",  # the same data gives the same file
        "font.family": "sans-serif",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e5e5e5",
        "figure.facecolor": "white",  # also on a dark page
    }
)


def percent(interval: dict) -> tuple[float, float, float]:
    return tuple(100 * interval[name] for name in ("value", "low", "high"))


def save(figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def plot_accuracy(curve: dict, path: Path) -> None:
    """Accuracy against the share of the tokens kept, a line for each method."""
    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    for line in curve["lines"]:
        draw_line(axes, line)
    best, *_ = percent(curve["all"])
    axes.axhline(best, color="black", linestyle="--", linewidth=1, label="all tokens")
    axes.set_xscale("log")
    points = curve["lines"][0]["points"]
    labels = [f"{point['tokens']}\n{100 * point['share']:.0f} %" for point in points]
    axes.set_xticks([100 * point["share"] for point in points], labels)
    axes.minorticks_off()
    axes.set_xlabel("tokens kept of a frame")
    axes.set_ylabel("right answers, %")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def draw_line(axes, line: dict) -> None:
    ours = line["method"] == "visionzip"
    shares = [100 * point["share"] for point in line["points"]]
    values, lows, highs = zip(*(percent(point["accuracy"]) for point in line["points"]))
    colour = COLOURS[line["method"]]
    axes.plot(
        shares,
        values,
        color=colour,
        label=line["name"],
        marker="o",
        markersize=5 if ours else 3,
        linewidth=2.2 if ours else 1.2,
        linestyle=":" if line["isTuned"] else "-",
        zorder=3 if ours else 2,
    )
    if ours:
        axes.fill_between(shares, lows, highs, color=colour, alpha=0.15, linewidth=0)


def plot_flash(flash: dict, path: Path) -> None:
    """Flashes found, and flashes that some frame shows, against tokens a frame."""
    points = flash["points"]
    tokens = [point["tokens"] for point in points]
    values, lows, highs = zip(*(percent(point["found"]) for point in points))
    figure, axes = plt.subplots(figsize=(7.2, 4.0))
    shown = [100 * point["shown"] for point in points]
    axes.plot(tokens, shown, color="#999999", linestyle="--", label="some frame shows it")
    axes.plot(tokens, values, color=COLOURS["visionzip"], marker="o", linewidth=2.2, label="found")
    axes.fill_between(tokens, lows, highs, color=COLOURS["visionzip"], alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(tokens, [f"{point['tokens']}\n{point['frames']:.0f} frames" for point in points])
    axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_xlabel(f"tokens a frame, as many frames as fit into {flash['contextLength']} tokens")
    axes.set_ylabel("of the flashes, %")
    axes.legend(frameon=False)
    save(figure, path)


def plot_over_time(over_time: dict, path: Path) -> None:
    """Of what all tokens answer right, against the share of the tokens, a line for each way to spend them."""
    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    lines = {line["name"]: line["points"] for line in over_time["lines"]}
    for name, (colour, style) in OVER_TIME.items():
        points = lines[name]
        values = [100 * point["ratio"]["value"] for point in points]
        shares = [100 * point["share"] for point in points]
        axes.plot(shares, values, color=colour, linestyle=style, marker="o", markersize=4, label=name)
    axes.axhline(100, color="black", linewidth=1, label="all tokens of every frame")
    axes.set_xscale("log")
    points = next(iter(lines.values()))
    axes.set_xticks([100 * point["share"] for point in points], [f"{100 * point['share']:.0f} %" for point in points])
    axes.minorticks_off()
    axes.set_xlabel(f"of the tokens of {over_time['frames']} frames")
    axes.set_ylabel("right answers, % of all tokens'")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="what `npm run --silent eval -- --json FILE` wrote")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures (default: docs)")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    if "curve" in results:
        plot_accuracy(results["curve"], options.out / "accuracy.svg")
    if "flash" in results:
        plot_flash(results["flash"], options.out / "flash.svg")
    if "overTime" in results:
        plot_over_time(results["overTime"], options.out / "over-time.svg")


if __name__ == "__main__":
    main()
