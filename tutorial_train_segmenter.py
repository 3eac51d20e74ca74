"""Train a segmenter: the judge of what a control achieves on paper dolls (15 minutes on a CPU), or on photos:

    python tutorial_train_segmenter.py
    python tutorial_train_segmenter.py --steps 400 --dolls 1000     # a quick try
    python tutorial_train_segmenter.py --out models/tiny/segmenter.safetensors     # replace the shipped ones
    python tutorial_train_segmenter.py --data training/fashion --network u2net --size 512 --workers 8

It draws dolls, trains on distorted copies of them, prints the IoU of each region on dolls it never saw,
as they are and degraded, and writes the weights. With --data, it does so with the photos and maps of a
training folder's split train, judged by its split val; regions are weighted by median frequency. To resume,
run the same command again. docs/annotators.md says what the networks are for.
"""

import argparse
import sys
from pathlib import Path

STEPS_PER_EPOCH = 100  # between checkpoints
LEARNING_RATES = dict(pixel=4e-3, u2net=1e-3, segformer=1e-3)
DRAWN_SIZE, JUDGING_SEED = 128, 999


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="training folder with regions.yaml; else dolls are drawn")
    parser.add_argument("--network", choices=LEARNING_RATES, default="pixel", help="what is trained")
    parser.add_argument("--size", type=int, default=DRAWN_SIZE, help="side to which photos are squeezed")
    parser.add_argument("--width", type=int, default=64, help="channels of a U-Net's first stage, u2net only")
    parser.add_argument("--steps", type=int, default=4000, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures a step")
    parser.add_argument("--dolls", type=int, default=4000, help="dolls to draw for training")
    parser.add_argument("--people", action="store_true", help="dolls with faces and patterned garments")
    parser.add_argument("--held-out", type=int, default=256, help="other pictures, to judge it with")
    parser.add_argument("--learning-rate", type=float, help=f"its peak (default: {LEARNING_RATES})")
    parser.add_argument("--precision", default="bf16-mixed", help="Lightning's precision, such as 32-true")
    parser.add_argument("--workers", type=int, default=0, help="processes that read and distort photos")
    parser.add_argument(
        "--seed", type=int, default=0, help=f"of all but the other dolls, whose is {JUDGING_SEED}"
    )
    parser.add_argument("--run", type=Path, default="runs/segmenter", help="folder of dolls and checkpoints")
    parser.add_argument("--out", type=Path, help="the weights (default: in --run, a SegFormer's in a folder)")
    args = parser.parse_args()
    if args.seed == JUDGING_SEED:
        parser.error(f"--seed must not be {JUDGING_SEED}: its dolls are kept to judge with")
    if args.data is None and args.size != DRAWN_SIZE:
        parser.error(f"--size must be {DRAWN_SIZE} without --data: so large are the drawn dolls")
    args.learning_rate = args.learning_rate or LEARNING_RATES[args.network]
    suffix = "" if args.network == "segformer" else ".safetensors"
    args.out = args.out or args.run / f"{'segmenter' if suffix else 'segformer'}{suffix}"
    if args.out.is_dir() and (suffix or not (args.out / "config.json").is_file()):
        parser.error(f"--out {args.out} is a folder{'' if suffix else ' that holds no model'}: give another")
    return args


def recipe_of(args) -> str:
    """The options that the weights depend on, as a command line."""
    settings = ["steps", "batch_size", "dolls", "learning_rate", "precision", "seed"]
    if args.data:
        settings = ["data", "size"] + [name for name in settings if name != "dolls"]
    people = " --people" * (args.people and not args.data)
    settings += ["network"] * (args.network != "pixel") + ["width"] * (args.network == "u2net")
    return " ".join(f"--{name.replace('_', '-')} {getattr(args, name)}" for name in settings) + people


def main():
    args = parse_arguments()
    import pytorch_lightning as pl

    from annotator.segment.segmenters import SEGMENTERS
    from learning.segmenter.data import draw_examples, read_examples
    from learning.segmenter.judging import judge
    from learning.segmenter.train import Dolls, SegmenterTraining, fit

    recipe, num_items = recipe_of(args), args.steps * args.batch_size
    pl.seed_everything(args.seed)
    try:
        if args.data:
            examples = read_examples(args.data, args.size, args.held_out, args.seed, num_items)
        else:
            seeds = args.seed, JUDGING_SEED
            examples = draw_examples(args.run, args.dolls, args.held_out, *seeds, num_items, args.people)
        width = dict(width=args.width) if args.network == "u2net" else {}
        segmenter = SEGMENTERS[args.network].fresh(examples.names, args.size, **width)
        training = SegmenterTraining(segmenter, args.learning_rate, args.steps, examples.weights)
        # a name has 255 characters at most; what is cut is the beginning of a long path of data
        folder = args.run / recipe.replace("--", "").replace(" ", "_").replace("/", "-")[-200:]
        dolls = Dolls(examples.train, examples.held_out, args.batch_size, STEPS_PER_EPOCH, args.workers)
        fit(training, dolls, folder, args.precision)
        metadata = judge(segmenter.round_weights(), examples.pairs, examples.num_pairs, JUDGING_SEED)
        for kind, found in metadata.items():
            print(f"{kind.removeprefix('held_out_')} held-out pictures: {found}")
        segmenter.save(args.out, metadata | {"recipe": f"tutorial_train_segmenter.py {recipe}"})
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
