"""Train the pixel segmenter that judges what a control achieves on paper dolls (15 minutes on a CPU):

    python tutorial_train_segmenter.py
    python tutorial_train_segmenter.py --steps 400 --dolls 1000     # a quick try
    python tutorial_train_segmenter.py --out models/tiny/segmenter.safetensors     # replace the shipped ones

It draws dolls, trains on distorted copies of them, prints the IoU of each region on dolls it never saw,
as they are and degraded, and writes the weights. To resume, run the same command again.
"""

import argparse
from pathlib import Path

STEPS_PER_EPOCH = 100  # between checkpoints
JUDGING_SEED = 999


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4000, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=16, help="dolls a step")
    parser.add_argument("--dolls", type=int, default=4000, help="dolls to draw for training")
    parser.add_argument("--held-out", type=int, default=256, help="other dolls, to judge it with")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="its peak")
    parser.add_argument("--precision", default="bf16-mixed", help="Lightning's precision, such as 32-true")
    parser.add_argument(
        "--seed", type=int, default=0, help=f"of all but the other dolls, whose is {JUDGING_SEED}"
    )
    parser.add_argument("--run", type=Path, default="runs/segmenter", help="folder of dolls and checkpoints")
    parser.add_argument(
        "--out", type=Path, default="runs/segmenter/segmenter.safetensors", help="the weights"
    )
    args = parser.parse_args()
    if args.seed == JUDGING_SEED:
        parser.error(f"--seed must not be {JUDGING_SEED}: its dolls are kept to judge with")
    return args


def main():
    args = parse_arguments()
    import pytorch_lightning as pl
    from torch import from_numpy
    from torch.utils.data import TensorDataset

    from annotator.imaterialist import standard_regions
    from annotator.segment import PixelSegmenter, confusion, iou_per_region, mean_iou
    from annotator.segment.data import DistortedDolls, cached_dolls, degraded, draw_dolls
    from annotator.segment.network import SegmenterNetwork
    from annotator.segment.train import Dolls, SegmenterTraining

    settings = ("steps", "batch_size", "dolls", "learning_rate", "precision", "seed")
    recipe = " ".join(f"--{name.replace('_', '-')} {getattr(args, name)}" for name in settings)
    pl.seed_everything(args.seed)
    names = standard_regions().names
    photos, maps = cached_dolls(args.run / f"dolls_{args.dolls}_seed_{args.seed}.npz", args.dolls, args.seed)
    train = DistortedDolls(photos, maps, args.seed, args.steps * args.batch_size)
    photos, maps = draw_dolls(args.held_out, JUDGING_SEED)
    held_out = TensorDataset(from_numpy(photos), from_numpy(maps))

    training = SegmenterTraining(SegmenterNetwork(len(names)), args.learning_rate, args.steps)
    folder = args.run / recipe.replace("--", "").replace(" ", "_")
    checkpoint = pl.callbacks.ModelCheckpoint(
        folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    trainer = pl.Trainer(
        max_steps=args.steps,
        precision=args.precision,
        callbacks=[checkpoint],
        logger=False,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / "last.ckpt"
    dolls = Dolls(train, held_out, args.batch_size, STEPS_PER_EPOCH)
    trainer.fit(training, dolls, ckpt_path=last if last.exists() else None)

    segmenter = PixelSegmenter(training.network.half().float())  # judged as the file will hold it
    metadata = {"recipe": f"tutorial_train_segmenter.py {recipe}"}
    for kind, pictures in (("clean", photos), ("degraded", degraded(photos, JUDGING_SEED))):
        counts = confusion(segmenter.segment(pictures), maps, len(names))
        ious = ", ".join(f"{n} {iou:.3f}" for n, iou in zip(names, iou_per_region(counts), strict=True))
        metadata[f"held_out_{kind}"] = f"mIoU {mean_iou(counts):.4f}: {ious}"
        print(f"{kind} held-out dolls: {metadata[f'held_out_{kind}']}")
    segmenter.save(args.out, metadata)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
