"""This implementation against the numbers of the original ControlNet; see golden/README.md."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cldm.model import create_model
from golden import numbers
from golden.weights import golden_state

GOLDEN = Path(__file__).parents[1] / "helpers" / "golden"
TOLERANCES = json.loads((GOLDEN / "tolerances.json").read_text())
# what to compute, and the names of the original's numbers for it
ITEMS = {
    "residuals": (numbers.residuals, "ii/"),
    "unet": (numbers.unet, "iii/"),
    "apply_model": (numbers.apply_model, "iv/"),
    "gradients_locked": (partial(numbers.gradients, locked=True), "v/locked/", "v/grad/"),
    "gradients_unlocked": (partial(numbers.gradients, locked=False), "v/unlocked/"),
    "training_locked": (partial(numbers.trajectory, locked=True), "v/trajectory_locked"),
    "training_unlocked": (partial(numbers.trajectory, locked=False), "v/trajectory_unlocked"),
    "autoencoder": (numbers.autoencoder, "vi/"),
    "ddim_schedule": (numbers.ddim_schedule, "vii/S"),
    "ddim_samples": (numbers.ddim_samples, "vii/guess_scales", "vii/sample"),
    "noise_schedule": (numbers.noise_schedule, "viii/"),
    "time_embedding": (numbers.time_embedding, "ix/"),
    "seeded_draws": (numbers.seeded_draws, "xi/"),
}


@pytest.fixture(scope="module")
def original():
    with np.load(GOLDEN / "v15_32.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def built():
    model = create_model(GOLDEN / "v15_32.yaml")
    return model, golden_state(model)


@pytest.fixture
def model(built):
    """The golden model in its first state."""
    model, state = built
    model.load_state_dict(state)
    model.control_scales, model.sd_locked, model.only_mid_control = [1.0] * 13, True, False
    model.zero_grad()
    return model.eval()


def error(name, ours, theirs, original):
    """Relative deviation; text and whole numbers agree (0) or do not (infinity)."""
    if ours.shape != theirs.shape or not np.issubdtype(theirs.dtype, np.floating):
        return 0.0 if np.array_equal(ours, theirs) else np.inf
    difference = np.abs(ours.astype(np.float64) - theirs)
    if name.endswith(("grad_norms", "grad_projections")):
        norms = original[name.rsplit("/", 1)[0] + "/grad_norms"]
        worst = (difference / np.maximum(norms, 1e-3 * np.linalg.norm(norms))).max()
    else:
        worst = difference.max() / max(np.abs(theirs).max(), 1e-12)
    return np.inf if np.isnan(worst) else worst


@pytest.mark.parametrize("item", ITEMS)
def test_numbers_are_the_originals(item, model, original):
    compute, *prefixes = ITEMS[item]
    ours = compute(model)
    theirs = {name: array for name, array in original.items() if name.startswith(tuple(prefixes))}
    assert ours.keys() == theirs.keys()
    errors = {name: error(name, ours[name], theirs[name], original) for name in theirs}
    assert not {name: e for name, e in errors.items() if not e <= TOLERANCES.get(name, 2e-5)}


def test_every_number_of_the_original_is_asked_for(original):
    prefixes = tuple(prefix for _, *names in ITEMS.values() for prefix in names)
    assert [name for name in original if not name.startswith(prefixes)] == ["keys"]


def test_small_model_has_the_originals_names_and_shapes(built, original):
    shapes = {f"{key}|{'x'.join(map(str, value.shape))}" for key, value in built[1].items()}
    assert shapes == set(original["keys"])
