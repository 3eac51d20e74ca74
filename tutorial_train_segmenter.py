"""Train a segmenter: the judge of what a control achieves on paper dolls, or one of your photos.

python tutorial_train_segmenter.py                               # 15 minutes on a CPU
python tutorial_train_segmenter.py --max-steps 400 --dolls 1000  # a quick try
python tutorial_train_segmenter.py --out models/tiny/segmenter.safetensors   # the shipped one
python tutorial_train_segmenter.py --data training/fashion --network u2net --size 512

It draws dolls, trains on distorted copies of them, prints the IoU of each region on dolls it never
saw, as they are and degraded, and writes the weights. With --data, it does so with the photos and
maps of a training folder's split train, judged by its split val; regions are weighted by median
frequency. To resume, run the same command again. More: docs/annotators.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point

STEPS_PER_EPOCH = 100  # between checkpoints
LEARNING_RATES = dict(pixel=4e-3, u2net=1e-3, segformer=1e-3)
WIDTHS = dict(pixel=16, u2net=64)
DRAWN_SIZE, JUDGING_SEED = 128, 999


def parse_arguments():
    parser = Parser(__doc__)
    add, number = parser.add_argument, dict(type=int, metavar="N")
    parser.share("--data", default=None, help="A training folder. Without one, dolls are drawn.")
    text = f"What is trained: {', '.join(LEARNING_RATES)}."
    add("--network", choices=LEARNING_RATES, default="pixel", metavar="NAME", help=text)
    add("--size", default=DRAWN_SIZE, help="The side to which photos are squeezed.", **number)
    text = f"How many channels the first stage has. The default is by the network: {WIDTHS}."
    add("--width", help=text, **number)
    parser.share("--max-steps", default=4000)
    parser.share("--batch-size", default=16, help="How many pictures a step takes.")
    add("--dolls", default=4000, help="How many dolls are drawn to train on.", **number)
    add("--held-out", default=256, help="How many other pictures judge it.", **number)
    text = f"The peak of the learning rate. The default is by the network: {LEARNING_RATES}."
    add("--learning-rate", type=float, metavar="X", help=text)
    parser.share("--precision", "--workers", "--seed")
    add("--run", default=Path("runs/segmenter"), type=Path, help="The folder of dolls and checkpoints.")
    add("--out", type=Path, metavar="PATH", help="The weights to write. Without it, they are in --run.")
    args = parser.parse_args()
    if args.seed == JUDGING_SEED:
        parser.error(f"--seed must not be {JUDGING_SEED}: its dolls are kept to judge with")
    if args.data is None and args.size != DRAWN_SIZE:
        parser.error(f"--size must be {DRAWN_SIZE} without --data: so large are the drawn dolls")
    args.learning_rate = args.learning_rate or LEARNING_RATES[args.network]
    if args.network not in WIDTHS and args.width:
        parser.error(f"--width is of {' and '.join(WIDTHS)}: {args.network} has none")
    args.width = args.width or WIDTHS.get(args.network)
    suffix = "" if args.network == "segformer" else ".safetensors"
    args.out = args.out or args.run / f"{'segmenter' if suffix else 'segformer'}{suffix}"
    if args.out.is_dir() and (suffix or not (args.out / "config.json").is_file()):
        parser.error(f"--out {args.out} is a folder{'' if suffix else ' that holds no model'}: give another")
    return args


@entry_point(RESUMES)
def main():
    args = parse_arguments()
    import pytorch_lightning as pl

    from annotator.segment.segmenters import SEGMENTERS
    from jobs.parallel import default_workers
    from learning.build import resolve_precision
    from learning.segmenter.data import draw_examples, read_examples
    from learning.segmenter.judging import judge_segmenter
    from learning.segmenter.train import Dolls, SegmenterTraining, describe_recipe, fit

    args.precision = resolve_precision(args.precision)
    workers = default_workers() if args.workers is None else args.workers
    recipe, num_items = describe_recipe(args), args.max_steps * args.batch_size
    pl.seed_everything(args.seed)
    if args.data:
        examples = read_examples(args.data, args.size, args.held_out, args.seed, num_items)
    else:
        given = args.run, args.dolls, args.held_out, args.seed, JUDGING_SEED, num_items
        examples = draw_examples(*given)
    width = [args.width] if args.width else []
    segmenter = SEGMENTERS[args.network].fresh(examples.names, args.size, *width)
    training = SegmenterTraining(segmenter, args.learning_rate, args.max_steps, examples.weights)
    # a name has 255 characters at most; what is cut is the beginning of a long path of data
    folder = args.run / recipe.replace("--", "").replace(" ", "_").replace("/", "-")[-200:]
    dolls = Dolls(examples.train, examples.held_out, args.batch_size, STEPS_PER_EPOCH, workers)
    fit(training, dolls, folder, args.precision)
    metadata = judge_segmenter(segmenter.round_weights(), examples.pairs, examples.num_pairs, JUDGING_SEED)
    for kind, found in metadata.items():
        print(f"{kind.removeprefix('held_out_')} held-out pictures: {found}")
    segmenter.save(args.out, metadata | {"recipe": f"tutorial_train_segmenter.py {recipe}"})
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
