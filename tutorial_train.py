"""Train a ControlNet on a training folder; run the same command again to resume.

python tutorial_train.py                       # SD1.5 if it is grafted, else the tiny base
python tutorial_train.py --config models/train_tiny.yaml max_steps=300      # minutes on a CPU
python tutorial_train.py --config models/train_sd15.yaml data=training/fashion batch_size=4 \\
    accumulate=8
python tutorial_train.py --config models/train_tryon_tiny.yaml    # try-on: any recipe, any fittings
python tutorial_train.py --report runs/dolls   # its report, while it trains or later

Options are written max_steps=300, --max-steps 300 or --max-steps=300, as you like. They go before
those of the preset, and of one given twice the last counts. More: docs/training.md
"""

import sys
from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point
from jobs.options import add_options
from jobs.shipped import find_shipped


def parse_arguments():
    from learning.options import TrainOptions, parse_options

    parser = Parser(__doc__)
    text = "The preset of options. Without it, that for SD1.5 if it is grafted, else the tiny base's."
    parser.add_argument("--config", metavar="YAML", help=text)
    text = "Write the report of this run's folder, and train nothing."
    parser.add_argument("--report", metavar="RUN", help=text)
    add_options(parser.add_argument_group("options of the training"), TrainOptions)
    arguments = parser.parse_args()
    if arguments.report is not None:
        from learning.report import write_report

        sys.exit(print(f"report: {write_report(arguments.report).absolute()}"))
    grafted = any(Path("models").glob("control_sd15_ini.*"))
    preset = arguments.config or f"models/train_{'sd15' if grafted else 'tiny'}.yaml"
    if not find_shipped(preset).is_file():
        problem = "is a folder, not a yaml" if Path(preset).is_dir() else "does not exist"
        raise FileNotFoundError(f"--config {preset} {problem}")
    return parse_options([preset], arguments.options), preset


def fittings_of(options):
    """(items to train on, held-out items) of a try-on folder, whose tests are held out."""
    from tutorial_tryon_dataset import TryonDataset

    splits = {item.get("split") for item in TryonDataset(options.data).data}
    held_out = next((split for split in ("val", "test") if split in splits), None)
    if held_out is None:
        print(f"{options.data} has no items of split val or test: nothing is measured while it trains")
    return TryonDataset(options.data, "train"), held_out and TryonDataset(options.data, held_out)


def judge_of(options, data):
    """(held-out items, hint encoder, judge) to measure with, each None where there is none.

    `data` are all items of the folder, a MyDataset.
    """
    from annotator.segment import load_judge
    from jobs.devices import own_device
    from pictures.hint import find_encoder

    regions, encoder = Path(options.data, "regions.yaml"), find_encoder(options.data)
    if not any(item.get("split") == "val" for item in data.data):
        print(f"{options.data} has no items of split val: nothing is measured while it trains")
        return None, encoder, None
    if not (options.segmenter and encoder):
        print("no segmenter or no regions.yaml: control mIoU is not measured, validation loss is")
        return data.part("val"), encoder, None
    return data.part("val"), encoder, load_judge(options.segmenter, regions, own_device()).segment


@entry_point(RESUMES)
def main():
    options, preset = parse_arguments()
    print(f"options from {preset}; model {options.model}, base {options.base}", flush=True)
    from cldm.model import is_tryon
    from learning.embedded_default import complete_default
    from learning.train import train
    from tutorial_dataset import MyDataset

    complete_default(options)
    if is_tryon(options.model):
        train(options, *fittings_of(options))
        return
    data = MyDataset(options.data)
    train(options, data.part("train"), *judge_of(options, data))


if __name__ == "__main__":
    main()
