"""Train the embedded tiny base on paper dolls: autoencoder, then U-Net and text encoder. Resumes.

python tutorial_train_base.py                # how models/tiny/base.safetensors was made: hours on a CPU
python tutorial_train_base.py --work runs/look --dolls 300 --autoencoder-steps 9 --decoder-steps 9 --steps 9
"""

import argparse
import csv
import sys
from pathlib import Path

CONFIG = "models/cldm_tiny.yaml"


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
        "--decoder-steps", type=int, default=1000, help="batches of 16 (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=4000, help="base, batches of 32 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2, help="of the dolls (default: %(default)s)")
    return parser.parse_args()


def dolls(folder, num, seed):
    """(photos uint8 (n, H, W, 3), captions) of paper dolls, drawn if they are not there yet."""
    import cv2
    import numpy as np
    import torch

    from preparation.paperdoll import make_dolls

    make_dolls(folder, num, seed=seed, workers=2)
    with open(folder / "captions.csv", newline="") as file:
        names, captions = zip(*list(csv.reader(file))[1:], strict=True)
    photos = [cv2.imread(str(folder / "train" / name), cv2.IMREAD_COLOR_RGB) for name in names]
    return torch.from_numpy(np.stack(photos)), captions


def main():
    arguments = parse_arguments()
    import pytorch_lightning as pl

    from learning.base.stages import base_of, export, train_autoencoder, train_base, train_decoder

    work = Path(arguments.work)
    if (work / "base.safetensors").exists():
        sys.exit(f"{work / 'base.safetensors'} exists already: give another --work")
    work.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(0, verbose=False)
    photos, captions = dolls(work / "dolls", arguments.dolls, arguments.seed)
    model = base_of(CONFIG)
    moments = train_autoencoder(model, photos, work, arguments.autoencoder_steps)
    train_decoder(model, photos, moments, work, arguments.decoder_steps)
    train_base(model, moments, captions, work, arguments.steps)
    export(model, work / "base.safetensors", vars(arguments))
    print(f"wrote {work / 'base.safetensors'}; what it is worth: python benchmarks/check_tiny_base.py")


if __name__ == "__main__":
    main()
