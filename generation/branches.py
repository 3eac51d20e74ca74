"""Further control branches over a model that is there already: its base is in memory once."""

from dataclasses import dataclass

import torch

from cldm.cldm import compare_encoders
from cldm.model import read_part
from cldm.weights.convert import control_alone, read_weights
from cldm.weights.families import config_of
from cldm.weights.graft import CONTROL
from cldm.weights.load import Loaded, bring_to, encoder_of
from cldm.weights.load_tryon import LoadedTryon
from ldm.checkpoint import CheckpointError
from ldm.util import instantiate_from_config
from pictures.hint import HintEncoder


@dataclass
class Branch:
    """A control branch, on its model's device; `encoder` None where its hints are pictures of any colours."""

    network: torch.nn.Module
    encoder: HintEncoder | None


def load_branch(path, loaded: Loaded | LoadedTryon) -> Branch:
    """The control branch of a file of any layout, or of a folder of diffusers, for a model's U-Net.

    A try-on model's person U-Net may have learned; the branch is that of its base, whose latents alone it
    reads. CheckpointError names the file if it belongs to a U-Net of another family or to another noise
    schedule.
    """
    weights = control_alone(read_weights(path))
    state = {name.removeprefix(CONTROL): tensor for name, tensor in weights.state.items()}
    # a file that says nothing of its schedule is one of the many published ones, and those have the usual one
    if bool(weights.recorded("zero_terminal_snr", bool)) != loaded.model.has_zero_terminal_snr:
        which = "has" if loaded.model.has_zero_terminal_snr else "has not"
        raise CheckpointError(
            f"{path} was trained with another zero_terminal_snr than {loaded.source}, which {which} it: "
            "the two cannot act on one picture"
        )
    is_tryon = isinstance(loaded, LoadedTryon)
    stage = read_part(config_of(weights) if is_tryon else loaded.config, "control_stage_config")
    first = state.get("input_hint_block.0.weight")
    # the one number in which branches of a family may differ
    hint_channels = first.shape[1] if first is not None and first.ndim == 4 else stage.params.hint_channels
    with torch.device("meta"):
        network = instantiate_from_config(
            dict(target=stage.target, params={**stage.params, "hint_channels": hint_channels})
        )
    _check(state, network.state_dict(), path, loaded.source)
    for name, both in (
        compare_encoders(network, loaded.model.model.diffusion_model).items() if is_tryon else ()
    ):
        if name != "in_channels":
            raise CheckpointError(
                f"{path} is a control of another family than {loaded.source}: {name} is {both[0]} in it, "
                f"{both[1]} is wanted"
            )
    network.load_state_dict(state, assign=True)
    dtype = next(loaded.model.model.parameters()).dtype
    network = bring_to(loaded.model.device, network.requires_grad_(False).to(dtype)).eval()
    return Branch(network, encoder_of(weights.metadata, path))


def _check(state, wanted, path, source):
    for name in sorted(state.keys() | wanted.keys()):
        given, ours = (list(tensors[name].shape) if name in tensors else None for tensors in (state, wanted))
        if given != ours:
            raise CheckpointError(
                f"{path} is a control of another family than {source}: {CONTROL}{name} is "
                f"{given or 'nothing'} in it, {ours or 'nothing'} is wanted"
            )
