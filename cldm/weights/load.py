"""From whatever weights there are to a model that is ready to draw."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cldm.model import create_with_branch, load_model, shape_remedy
from cldm.weights.convert import read_weights
from cldm.weights.families import base_of, config_of, named_config
from cldm.weights.graft import CONTROL, default_files, graft, refuse_other_files
from jobs.devices import fast_layout
from ldm.checkpoint import CheckpointError, read_metadata
from pictures.hint import HintEncoder

ALIGNED = 64  # bytes at which weights begin that a processor reads at once


def newest_checkpoint(runs="runs", names=("control", "full_step_*")) -> Path | None:
    """The newest weights of these names that training has left in the folders of `runs`."""
    found = [path for name in names for path in Path(runs).glob(f"*/{name}.safetensors")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def find_data(path, default="training/dolls") -> Path:
    """The training folder that a checkpoint was trained on, where it says so."""
    options = read_metadata(path).get("options", {})
    return Path(options.get("data", default) if isinstance(options, dict) else default)


@dataclass
class Loaded:
    """A model that is ready to draw, and what its file says of it."""

    model: torch.nn.Module
    encoder: HintEncoder | None  # what its maps' colours mean; None where the file does not say
    source: str
    base: str  # the file that its U-Net comes from
    config: str
    zero_terminal_snr: bool
    notes: list[str]  # what was taken for granted, for the user


def load_control(checkpoint, config, device: str, base=None) -> Loaded:
    """A whole model, a control branch on its base, or a base with an untrained branch.

    Args:
        checkpoint: a file or folder of any layout that `read_weights` takes; None takes the newest training
            result, else Stable Diffusion 1.5 or the tiny base.
        config: yaml of the model; None takes the one that the checkpoint names, else its family's.
        device: on a GPU all weights but the autoencoder's are held in fp16, else all in fp32.
        base: of a control branch, file or folder; None takes the one that it names, else Stable Diffusion 1.5
            or the tiny base.
    """
    weights = read_weights(checkpoint or newest_checkpoint() or default_files()[0], config)
    checkpoint, under = weights.source, weights
    overlay = {name: t for name, t in weights.state.items() if name.startswith(CONTROL)}
    if overlay and not weights.is_whole:
        overlay, under = weights.state, _base_of(weights, base, config)
    elif base:
        raise ValueError(f"{checkpoint} is no control branch alone, which --base is for: leave it out")
    try:
        if named_config(weights):
            config = config or config_of(weights)
        model, config = _assemble(under, config)
        _lay_over(model, overlay, checkpoint)
    except CheckpointError as error:
        if under is weights or base or base_of(weights):
            raise
        raise CheckpointError(
            f"{checkpoint} does not say what its base is, and does not fit {under.source}: give --base FILE, "
            "a whole model of its family"
        ) from error
    zero_terminal_snr = any(part.recorded("zero_terminal_snr", bool) for part in (weights, under))
    if zero_terminal_snr:
        model.use_zero_terminal_snr()
    source = str(checkpoint) if under is weights else f"{checkpoint} on {under.source}"
    return Loaded(
        model=make_ready(device, model),
        encoder=encoder_of(weights.metadata, checkpoint),
        source=source,
        base=str(under.source),
        config=str(config),
        zero_terminal_snr=zero_terminal_snr,
        notes=list(dict.fromkeys(weights.notes + under.notes)),
    )


def make_ready(device, model):
    """A whole model, locked, on a device that it will draw on: there in fp16 if that is a GPU."""
    model.requires_grad_(False)
    model.cast_locked(torch.float16 if torch.device(device).type == "cuda" else torch.float32)
    return bring_to(device, model).eval()


def bring_to(device, network):
    """A network on a device that it will draw on, in the layout that is fast there.

    Weights that a file was mapped to are copied where they begin at no multiple of ALIGNED bytes: products of
    such round otherwise, so that one control drew two pictures from two files.
    """
    network = network.to(device, memory_format=fast_layout(device))
    for tensor in network.parameters():
        if tensor.device.type == "cpu" and tensor.data_ptr() % ALIGNED:
            tensor.data = tensor.data.clone()
    return network


def encoder_of(metadata: dict, path) -> HintEncoder | None:
    """What a map's colours mean, by the metadata of the checkpoint `path`; ValueError if they are damaged."""
    if "hint" not in metadata:
        return None
    try:
        return HintEncoder.from_metadata(metadata["hint"])
    except ValueError as error:
        raise CheckpointError(f"{path}: hint of its metadata: {error}") from error


def read_under(weights, path, given=None, config=None, recipe=None):
    """The Weights that a checkpoint was trained on; `given` is what --base says, `recipe` the yaml of try-on.

    Raises:
        FileNotFoundError: it is missing; says how to come by it.
    """
    try:
        return read_weights(path, config)
    except FileNotFoundError as error:
        if given:
            raise
        named = weights.recorded("base")
        graft = f"; python tool_add_control.py BASE {named} --config {recipe} makes it" if recipe else ""
        raise FileNotFoundError(
            f"{weights.source} was trained on {named}, which is not here: start from the folder where it is, "
            f"or give --base FILE{graft}"
        ) from error


def _base_of(weights, base, config):
    """The Weights under a control branch."""
    named = base or base_of(weights) or default_files()[0]
    under = read_under(weights, named, given=base, config=config)
    if not under.is_whole:
        refuse_other_files(without_control(under.state), under.source)
    return under


def _assemble(weights, config):
    """(model, its yaml) of whole weights, grafted first where they are in no file with a control branch."""
    path = weights.source
    if weights.has_control and not Path(path).is_dir():
        config = config or config_of(weights)
        return load_model(config, path), config
    state = without_control(weights.state)
    refuse_other_files(state, path)
    config = config or weights.config or config_of(weights)
    model = create_with_branch(config)
    model.load_state_dict(graft(state, config, path)[0], assign=True)
    return model, config


def without_control(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith(CONTROL)}


def _lay_over(model, overlay, path):
    """Put trained tensors, by name, over those of the model."""
    ours = model.state_dict()
    for name, tensor in overlay.items():
        if name not in ours or ours[name].shape != tensor.shape:
            known = name in ours
            raise CheckpointError(
                f"{path} does not fit its base: {name} {list(tensor.shape)} has no place in it"
                + f"; {shape_remedy(name, tensor)}" * known
            )
    missing = [name for name in ours if name.startswith(CONTROL) and name not in overlay]
    if overlay and missing:
        raise CheckpointError(
            f"{path} lacks {len(missing)} tensors of the control branch; the first is {missing[0]}"
        )
    model.load_state_dict(overlay, strict=False, assign=True)
