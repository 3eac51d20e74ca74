"""Train the embedded tiny base on paper dolls: autoencoder, then U-Net and text encoder. Resumes.

python tutorial_train_base.py                # how models/tiny/base.safetensors was made: hours on a CPU
python tutorial_train_base.py --work runs/look --dolls 300 --autoencoder-steps 9 --decoder-steps 9 --steps 9
"""

import argparse
import sys
from pathlib import Path


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="models/cldm_tiny8.yaml", help="default: %(default)s")
    parser.add_argument("--work", default="runs/base", help="folder for all it makes (default: %(default)s)")
    parser.add_argument("--dolls", type=int, default=15000, help="paper dolls to draw (default: %(default)s)")
    parser.add_argument(
        "--autoencoder-steps", type=int, default=5000, help="batches of 16 (default: %(default)s)"
    )
    parser.add_argument(
        "--decoder-steps", type=int, default=1000, help="batches of 16 (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=12000, help="base, batches of 32 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2, help="of the dolls (default: %(default)s)")
    return parser.parse_args()


def drawn(folder, num_dolls, seed):
    """Pictures of dolls, fittings, and garments alone, upright and square; drawn if not there yet."""
    from preparation.paperdoll.base_pictures import (
        draw_doll,
        draw_fitting,
        draw_lone_garment,
        draw_pictures,
        draw_square_garment,
        keep_pictures,
    )

    shares = {draw_doll: 1.0, draw_fitting: 0.43, draw_lone_garment: 0.17, draw_square_garment: 0.17}
    for draw_one, share in shares.items():
        path, num = folder / f"{draw_one.__name__}.npz", round(share * num_dolls)
        yield keep_pictures(path, lambda f=draw_one, n=num: draw_pictures(f, n, seed))


def main():
    arguments = parse_arguments()
    import numpy as np
    import pytorch_lightning as pl
    import torch

    from learning.base.stages import (
        base_of,
        encode_group,
        export,
        train_autoencoder,
        train_base,
        train_decoder,
    )

    work = Path(arguments.work)
    if (work / "base.safetensors").exists():
        sys.exit(f"{work / 'base.safetensors'} exists already: give another --work")
    work.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(0, verbose=False)
    dolls, fittings, lone, square = drawn(work / "pictures", arguments.dolls, arguments.seed)
    model = base_of(arguments.config)
    photos = torch.from_numpy(np.concatenate([square.photos, dolls.photos]))
    train_autoencoder(model, photos, work, arguments.autoencoder_steps)
    train_decoder(model, photos, work, arguments.decoder_steps)
    groups = [
        encode_group(model, 0.55, dolls, repainted=0.15),
        encode_group(model, 0.22, fittings, repainted=0.75),
        encode_group(model, 0.12, lone),
        encode_group(model, 0.11, square),
    ]
    train_base(model, groups, work, arguments.steps)
    export(model, work / "base.safetensors", vars(arguments))
    print(f"wrote {work / 'base.safetensors'}; what it is worth: python benchmarks/check_tiny_base.py")


if __name__ == "__main__":
    main()
