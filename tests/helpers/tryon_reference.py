"""Try-on models of the reference numbers' size, with their weights.

The numbers come from the folder that GOLDENS_TRYON names, by default the project's own copy; its README says
what public code made them.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch

from cldm.tryon.model import TryonLDM
from tryon_goldens import Goldens, report

FOLDER = Path(os.environ.get("GOLDENS_TRYON") or Path(__file__).with_name("goldens_tryon"))

HERE = "cldm.tryon.conditions."


@cache
def goldens() -> Goldens:
    return Goldens(FOLDER)


def case(name):
    """(the case, its inputs as tensors)."""
    found = goldens()[name]
    return found, {key: tensor(value) for key, value in found.inputs.items()}


def tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def expect_equal(found, got: dict) -> None:
    """Every number that the case expects under these names is met within its tolerance."""
    missing = set(got) - {"gradients"} - set(found.expected)
    assert not missing, f"{found.name} knows no {sorted(missing)}"
    as_arrays = {
        key: value.detach().numpy() if isinstance(value, torch.Tensor) else value
        for key, value in got.items()
    }
    assert report(found.compare(as_arrays), quiet=True)


def unet_options(**changes) -> dict:
    return {**goldens().config["unet"], **changes}


def load(module, weights, prefix="", **renamed):
    """A module with a case's weights of a network; tensors of the module that it lacks are a failure."""
    state = {key[len(prefix) :]: tensor(value) for key, value in weights().items() if key.startswith(prefix)}
    missing = module.load_state_dict(state, strict=False).missing_keys
    assert not missing, missing[:3]
    return module.eval()


def garment(**options) -> dict:
    """The entry of a recipe with a garment's U-Net."""
    network = dict(target="cldm.tryon.unet.GarmentUNet", params=unet_options(norm=options.pop("norm", "pre")))
    return dict(target=HERE + "GarmentReference", params=dict(network=network, **options))


def entry(name, **params) -> dict:
    return dict(target=HERE + name, params=params)


def build(conditions, in_channels=4, unet=None, person="PersonUNet", **options) -> TryonLDM:
    """A TryonLDM of the reference size, without a text encoder: contexts are given."""
    return TryonLDM(
        conditions=conditions,
        unet_config=dict(
            target=f"cldm.tryon.unet.{person}", params=unet_options(in_channels=in_channels, **(unet or {}))
        ),
        first_stage_config=dict(
            target="ldm.models.autoencoder.AutoencoderKL", params=goldens().config["vae"]
        ),
        cond_stage_config=dict(target="torch.nn.Identity"),
        linear_start=0.00085,
        linear_end=0.0120,
        scale_factor=0.18215,
        image_size=goldens().config["height"],
        **options,
    ).eval()


def fill(model, found) -> TryonLDM:
    """The model with a case's weights, as far as it has such parts."""
    parts = dict(
        person=model.model.diffusion_model,
        garment=getattr(model, "garment_model", None),
        control=getattr(model, "control_model", None),
        vae=model.first_stage_model,
    )
    for name, weights in found.weights.items():
        if parts.get(name) is not None:
            state = {key: tensor(value) for key, value in weights().items()}
            missing = parts[name].load_state_dict(state, strict=False).missing_keys
            assert all("_ip." in key for key in missing), missing[:3]
    return model


def gradients(model) -> dict:
    """Gradients under the reference's names, None where a tensor has none."""
    prefixes = {"garment_model.": "garment_model.", "control_model.": "control_model.", "model.": "model."}
    return {
        name: None if p.grad is None else p.grad.numpy()
        for name, p in model.named_parameters()
        if any(name.startswith(prefix) for prefix in prefixes)
    }


def nobody(model, encoded) -> dict:
    """No row of any condition is dropped."""
    rows = max(len(value) for values in encoded.values() for value in values.values())
    return {name: torch.zeros(rows, dtype=torch.bool) for name in encoded}


def everybody(model, encoded, *names) -> dict:
    """All rows of the named conditions are dropped."""
    return {name: rows | (name in names) for name, rows in nobody(model, encoded).items()}


@torch.no_grad()
def predict(model, x, t, encoded, *dropped):
    """The model's output with the named conditions dropped."""
    return model.apply_model(x, t, model.prepare(encoded, everybody(model, encoded, *dropped)))
