"""What a run of the defaults needs and a fresh checkout lacks: paper dolls, and a graft on the tiny base."""

from pathlib import Path

from cldm.model import is_tryon

NUM_FITTINGS, NUM_TESTS = 1500, 64
NUM_DOLLS, DOLL_SEED = 2000, 3  # a seed of their own: neither base nor judge has seen these
OTHER_BASE = (
    "For Stable Diffusion: put v1-5-pruned.safetensors into models/, then python tool_add_control.py "
    "models/v1-5-pruned.safetensors {rest}"
)


def complete_default(options):
    """Make what of the embedded default these options name and is not there yet.

    Raises:
        FileNotFoundError: they name another base, which is not there.
    """
    data, base = Path(options.data), Path(options.base)
    makers = {Path("training/dolls"): _make_dolls, Path("training/tryon_dolls"): _make_fittings}
    if data in makers and not (data / "prompt.json").exists():
        makers[data](data)
    recipes = {Path("models/control_tiny_ini.ckpt"): None}
    recipes |= {Path("models/tryon_tiny_ini.safetensors"): options.model}
    if base in recipes and not base.exists():
        from cldm.weights.graft import add_control

        base.parent.mkdir(exist_ok=True)
        recipe = recipes[base] and "models/ootd_ini.safetensors --config models/tryon_ootd.yaml"
        other = OTHER_BASE.format(rest=recipe or "models/control_sd15_ini.ckpt")
        print(f"{base} does not exist yet: grafting the tiny base. {other}", flush=True)
        add_control("models/tiny/base.safetensors", str(base), recipes[base])
    if not base.exists():
        recipe = f" --config {options.model}" if is_tryon(options.model) else ""
        raise FileNotFoundError(
            f"{base} does not exist: make it with python tool_add_control.py BASE {base}{recipe}"
        )


def _make_fittings(data: Path):
    from paperdoll.tryon_folders import make_viton_hd
    from preparation.fittings import FittingOptions, prepare_fittings

    num = NUM_FITTINGS + NUM_TESTS
    print(f"{data} does not exist yet: drawing {num:,} paper dolls and garments for them", flush=True)
    make_viton_hd("data/tryon_dolls", NUM_FITTINGS, NUM_TESTS, seed=DOLL_SEED, workers=2)
    settings = FittingOptions(size=(128, 96), mask_style="body_part", workers=2)
    prepare_fittings("data/tryon_dolls", data, settings)


def _make_dolls(data: Path):
    from paperdoll import make_dolls
    from preparation import PrepareOptions, prepare_folder
    from preparation.checks import CHECKS

    print(f"{data} does not exist yet: drawing {NUM_DOLLS} paper dolls", flush=True)
    make_dolls("data/dolls", NUM_DOLLS, seed=DOLL_SEED, workers=2)
    # drawn, and so without a fault that photos have: the checks would find alike ones at most
    unchecked = tuple(f"{name}=off" for name in CHECKS)
    settings = PrepareOptions(size=128, square=True, thresholds=unchecked, test=0, workers=2)
    prepare_folder("data/dolls", str(data), settings)
