"""Draw how the tiny base learned to use its prompts, from the base.jsonl of a tutorial_train_base.py run.

python benchmarks/plot_base_curve.py models/tiny/base.jsonl docs/tiny_base_curve.png
"""

import argparse
import json
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "curve", help="base.jsonl: step and, per timestep, losses with right, rotated, no prompts"
    )
    parser.add_argument("out", help="PNG to write")
    arguments = parser.parse_args()
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in Path(arguments.curve).read_text().splitlines()]
    timesteps = list(rows[0]["losses"])
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    for axes, t in zip(figure.subplots(2, 3).flat, timesteps, strict=False):
        for name, style in (("right", "k-"), ("rotated", "r--"), ("none", "b:")):
            axes.plot(
                [row["step"] for row in rows], [row["losses"][t][name] for row in rows], style, label=name
            )
        axes.set(title=f"timestep {t}", xlabel="steps of batch 32", ylabel="loss")
    figure.axes[0].legend(title="prompts", frameon=False)
    figure.savefig(arguments.out, dpi=90)


if __name__ == "__main__":
    main()
