"""Train the embedded tiny base on paper dolls: autoencoder, then U-Net and text encoder. Resumes.

python tutorial_train_base.py         # how models/tiny/base.safetensors was made: hours on a CPU
python tutorial_train_base.py --run runs/look --dolls 300 --autoencoder-steps 9 \\
    --decoder-steps 9 --max-steps 9
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add = parser.add_argument
    parser.share("--config", default="models/cldm_tiny.yaml", help="The yaml of the model.")
    add("--run", type=Path, default=Path("runs/base"), metavar="DIR", help="The folder of all it makes.")
    text = "The base from which autoencoder, U-Net and text encoder start, where their layers fit."
    add("--start", default="models/tiny/next_base.safetensors", metavar="FILE", help=text)
    number = dict(type=int, metavar="N")
    add("--dolls", default=15000, help="How many paper dolls are drawn.", **number)
    text = "How many batches of 16 pictures the autoencoder trains on."
    add("--autoencoder-steps", default=5000, help=text, **number)
    text = "How many batches of 16 pictures its decoder trains on, alone, afterwards."
    add("--decoder-steps", default=1000, help=text, **number)
    text = "How many batches of 32 pictures U-Net and text encoder train on."
    parser.share("--max-steps", default=12000, help=text)
    # no other script draws by this one: neither control nor judge has seen the base's dolls
    parser.share("--seed", default=2, help="What the dolls are drawn from.")
    return parser.parse_args()


def drawn(folder, num_dolls, seed):
    """Pictures of dolls, fittings, and garments alone, upright and square; drawn if not there yet."""
    from paperdoll.base_pictures import (
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


@entry_point(RESUMES)
def main():
    arguments = parse_arguments()
    import numpy as np
    import pytorch_lightning as pl
    import torch

    from learning.base.groups import keep_group
    from learning.base.stages import (
        base_of,
        export,
        start_from,
        train_autoencoder,
        train_base,
        train_decoder,
    )

    run = arguments.run
    if (run / "base.safetensors").exists():
        raise FileExistsError(f"{run / 'base.safetensors'} exists already: give another --run")
    run.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(0, verbose=False)
    dolls, fittings, lone, square = drawn(run / "pictures", arguments.dolls, arguments.seed)
    model = base_of(arguments.config)
    photos = torch.from_numpy(np.concatenate([square.photos, dolls.photos]))
    train_autoencoder(model, photos, run, arguments.autoencoder_steps, arguments.start)
    train_decoder(model, photos, run, arguments.decoder_steps)
    latents = run / "latents"
    groups = [
        keep_group(latents / "dolls.pt", model, 0.55, dolls, repainted=0.15),
        keep_group(latents / "fittings.pt", model, 0.22, fittings, repainted=0.75),
        keep_group(latents / "lone.pt", model, 0.12, lone),
        keep_group(latents / "square.pt", model, 0.11, square),
    ]
    left = start_from(model, arguments.start)
    print(f"started from {arguments.start}, but for {', '.join(left) or 'nothing'}")
    train_base(model, groups, run, arguments.max_steps)
    recipe = {name: str(v) if isinstance(v, Path) else v for name, v in vars(arguments).items()}
    export(model, run / "base.safetensors", recipe)
    print(f"wrote {run / 'base.safetensors'}; what it is worth: python benchmarks/check_tiny_base.py")


if __name__ == "__main__":
    main()
