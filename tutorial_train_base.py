"""Train the embedded tiny base on paper dolls: autoencoder, then U-Net and text encoder; resumes by itself.

python tutorial_train_base.py         # how models/tiny/base.safetensors was made: hours on a CPU
python tutorial_train_base.py --dolls 300 --autoencoder-steps 20 --steps 20 --work runs/look   # minutes
"""

import argparse
import csv
from pathlib import Path

CONFIG = "models/cldm_tiny.yaml"
NUM_HELD_OUT = 96


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", default="runs/base", help="folder for all it makes (default: %(default)s)")
    parser.add_argument("--dolls", type=int, default=20000, help="paper dolls to draw (default: %(default)s)")
    parser.add_argument(
        "--autoencoder-steps", type=int, default=2000, help="batches of 32 (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=4600, help="of the base, batches of 32 (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=2, help="of the dolls (default: %(default)s)")
    return parser.parse_args()


def dolls(folder, num, seed):
    """(photos uint8 (n, H, W, 3), captions) of paper dolls, drawn if they are not there yet."""
    import cv2
    import numpy as np
    import torch

    from annotator.paperdoll import make_dolls

    make_dolls(folder, num, seed=seed, workers=2)
    with open(folder / "captions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    photos = [cv2.imread(str(folder / "train" / row["ImageId"]), cv2.IMREAD_COLOR_RGB) for row in rows]
    return torch.from_numpy(np.stack(photos)), [row["caption"] for row in rows]


def train_autoencoder(model, photos, work, num_steps):
    """The autoencoder of `model`, trained, and the moments of all photos and of their mirror images."""
    from cldm.pretrain import AutoencoderTraining, fit, latent_moments, standardize_latents

    training = AutoencoderTraining(
        model.first_stage_model, learning_rate=2.5e-3, num_steps=num_steps, crop=64
    )
    training.preserve_variance()
    held_out = photos[-NUM_HELD_OUT:]
    fit(training, photos[:-NUM_HELD_OUT], work / "autoencoder", 32, num_steps, val_items=held_out)
    autoencoder = training.autoencoder.eval()
    both = [latent_moments(autoencoder, pictures) for pictures in (photos, photos.flip(2))]
    return standardize_latents(autoencoder, both)


def train_base(model, moments, captions, work, num_steps):
    """U-Net and text encoder of `model`, their weights averaged exponentially over the steps."""
    from pytorch_lightning.callbacks import EMAWeightAveraging

    from cldm.pretrain import fit
    from cldm.pretrain_base import Latents, Watch

    model.num_steps, model.learning_rate, model.prompt_dropout, model.seed = num_steps, 1.2e-3, 0.1, 0
    held_out = dict(moments=moments[0][-NUM_HELD_OUT:], txt=captions[-NUM_HELD_OUT:])
    items = Latents([m[:-NUM_HELD_OUT] for m in moments], captions[:-NUM_HELD_OUT])
    folder = work / "unet"
    fit(model, items, folder, 32, num_steps, [EMAWeightAveraging(decay=0.999), Watch(folder, held_out)])


def main():
    arguments = parse_arguments()
    import pytorch_lightning as pl

    from cldm.pretrain_base import base_of, export

    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(0, verbose=False)
    photos, captions = dolls(work / "dolls", arguments.dolls, arguments.seed)
    model = base_of(CONFIG)
    moments = train_autoencoder(model, photos, work, arguments.autoencoder_steps)
    train_base(model, moments, captions, work, arguments.steps)
    export(model, work / "base.safetensors", vars(arguments))
    print(f"wrote {work / 'base.safetensors'}; what it is worth: python benchmarks/check_tiny_base.py")


if __name__ == "__main__":
    main()
