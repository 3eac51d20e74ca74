"""What it costs to draw otherwise than was trained: one thing at a time is broken, and fidelity falls.

    python benchmarks/prove_train_as_drawn.py runs/tryon_dolls/tryon.safetensors      # minutes on a CPU

New dolls try on the next one's garment, each time from the same noise. Masks, prompt, the null that guidance
drops to, the garment's range of numbers and the scale of guidance are changed, most of which nothing but this
script can do: a checkpoint says how it is drawn with. garment@16, detail and ΔE are those of docs/tryon.md,
measured inside the masks that the model has learnt.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from cldm.weights.load_tryon import load_tryon  # noqa: E402
from evaluation.fittings import roll_garments, with_pairs  # noqa: E402
from evaluation.garment_fidelity import GARMENTS, summarize, tell_apart  # noqa: E402
from evaluation.redrawing import Redrawing  # noqa: E402
from generation.fitting import FittingSettings, put_on  # noqa: E402
from paperdoll.tryon_folders import make_viton_hd  # noqa: E402
from preparation.fittings import FittingOptions, prepare_fittings  # noqa: E402
from tutorial_tryon_dataset import TryonDataset  # noqa: E402

SHOWN = GARMENTS, "detail", "ΔE", "PSNR in mask"
SEED = 977  # of dolls that no training folder has
STYLES = "box", "vitonhd", "ladi_vitonhd"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="tryon.safetensors of a run on dolls")
    parser.add_argument("--num", type=int, default=32, help="dolls (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=12, help="of DDIM (default: %(default)s)")
    return parser.parse_args()


def prepare(folder, style, size):
    """The held-out dolls of a raw folder with masks of a style, each in the next one's garment."""
    prepare_fittings(folder / "raw", folder / style, FittingOptions(size=size, mask_style=style, workers=1))
    dataset = TryonDataset(folder / style, "test")
    return with_pairs(dataset, roll_garments(dataset.pairs))


def list_breaks(model, datasets, style, seeds) -> dict[str, dict]:
    """What is broken -> changes of `draw`."""
    trained, garment = datasets[style], model.conditions["garment"]
    nulls = [null for null in ("zero_latent", "zero_features", "no_tokens") if null != garment.drop_to]
    breaks = {"nothing": {}, "nothing, other noise": dict(seeds=[seed + 5000 for seed in seeds])}
    for other in STYLES:
        breaks[f"masks of style {other}, learnt were {style}"] = dict(dataset=datasets[other])
    for null in nulls:
        breaks[f"null: {null}, learnt was {garment.drop_to}"] = dict(null=null)
    words = "a person wears a red dress", ""
    for prompt in words if "text" in model.conditions else ():
        breaks[f"prompt: {prompt!r} for all"] = dict(change=dict(txt=prompt))
    breaks["garment in [0, 1], learnt was [-1, 1]"] = dict(change=dict(garment=lambda x: (x + 1) / 2))
    breaks["garment of the next but one, asked for the next"] = dict(
        dataset=with_pairs(trained, roll_garments(trained.pairs))
    )
    own = model.guidance
    for scale in (1, 7.5) if len([t for t in own.terms if t.dropped]) == 1 else ():
        breaks[f"guidance {scale:g}, learnt with dropped garments"] = dict(guidance=own.rescaled(scale))
    return breaks


def draw(model, dataset, seeds, settings, null=None, change=None, guidance=None, batch_size=8):
    """Pictures of a dataset's items with something changed, for the time of the call."""
    garment, kept = model.conditions["garment"], model.conditions["garment"].drop_to
    garment.drop_to = null or kept
    drawn = []
    for start in range(0, len(seeds), batch_size):
        items = [dataset[i] for i in range(start, min(start + batch_size, len(seeds)))]
        for key, value in (change or {}).items():
            items = [item | {key: value(item[key]) if callable(value) else value} for item in items]
        part = seeds[start : start + batch_size]
        drawn += list(put_on(model, items, part, replace(settings, guidance=guidance)))
    garment.drop_to = kept
    return drawn


def main():
    arguments = parse_arguments()
    torch.set_num_threads(1)
    loaded = load_tryon(arguments.checkpoint)
    model, style, size = loaded.model, loaded.record.mask_style, loaded.record.size
    settings, seeds = FittingSettings(steps=arguments.steps), list(range(arguments.num))
    with tempfile.TemporaryDirectory() as folder:
        make_viton_hd(Path(folder, "raw"), 1, arguments.num, seed=SEED, size=size)
        datasets = {name: prepare(Path(folder), name, size) for name in {style, *STYLES}}
        wanted = datasets[style]
        redrawing = Redrawing(wanted)
        redrawing.draw(seeds, 1)
        measure = partial(tell_apart_all, redrawing, [wanted[i]["mask"][..., 0] > 0.5 for i in seeds])
        print(f"| broken | {' | '.join(SHOWN)} |\n{'|---' * (1 + len(SHOWN))}|", flush=True)
        for name, changes in list_breaks(model, datasets, style, seeds).items():
            given = dict(dataset=wanted, seeds=seeds, settings=settings) | changes
            numbers = measure(draw(model, **given))
            print(f"| {name} | {' | '.join(f'{numbers[n]:.2f}' for n in SHOWN)} |", flush=True)


def tell_apart_all(redrawing, masks, pictures) -> dict[str, float]:
    """The numbers of pictures, item by item in order."""
    told = [tell_apart(picture, redrawing[i], masks[i]) for i, picture in enumerate(pictures)]
    return summarize(told)


if __name__ == "__main__":
    main()
