"""From whatever weights there are to a model that is ready to draw."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cldm.demo import Demo
from cldm.graft import CONTROL, STEM, default_files, graft, recognise, refuse_other_files
from cldm.hint import HintEncoder
from cldm.model import create_model, load_model
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict


def pick_device(name: str) -> str:
    """A device that works here; `auto` takes the best there is."""
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return found.type if found else "cpu"
    try:
        torch.empty(1, device=name)
    except (AssertionError, RuntimeError) as error:  # the former from a torch that was built without it
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device {name!r} cannot be used here, try auto or cpu ({reason})") from error
    return name


def newest_checkpoint(runs="runs") -> Path | None:
    """The newest weights that training has left in the folders of `runs`."""
    found = [path for name in ("control", "full_step_*") for path in Path(runs).glob(f"*/{name}.safetensors")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def load_for_demo(checkpoint, config, regions: HintEncoder, device: str) -> Demo:
    """A Demo of what `load_control` finds; `regions` are what a map's colours mean where it does not say."""
    loaded = load_control(checkpoint, config, device)
    return Demo(loaded.model, loaded.encoder or regions, loaded.source)


@dataclass
class Loaded:
    """A model that is ready to draw, and what its file says of it."""

    model: torch.nn.Module
    encoder: HintEncoder | None  # what its maps' colours mean; None where the file does not say
    source: str
    base: str  # the file that its U-Net comes from
    config: str
    zero_terminal_snr: bool


def load_control(checkpoint, config, device: str) -> Loaded:
    """A whole model, a control branch on its base, or a base with an untrained branch.

    Args:
        checkpoint: None takes the newest training result, else Stable Diffusion 1.5 or the tiny base.
        config: yaml of the model; None takes the one that the checkpoint names, else its family's.
        device: on a GPU all weights but the autoencoder's are held in fp16, else all in fp32.
    """
    checkpoint = checkpoint or newest_checkpoint() or default_files()[0]
    metadata = read_metadata(checkpoint)
    trained = {**metadata.get("options", {}), **metadata}
    state, source = read_state_dict(checkpoint), str(checkpoint)
    overlay, base = {}, checkpoint
    if STEM not in state and any(name.startswith(CONTROL) for name in state):
        base = trained.get("base") or default_files()[0]
        overlay, state, source = state, _read_base(base, checkpoint), f"{checkpoint} on {base}"
    model, config = _assemble(state, base, config or trained.get("config") or trained.get("model"))
    _lay_over(model, overlay, checkpoint)
    zero_terminal_snr = bool(trained.get("zero_terminal_snr"))
    if zero_terminal_snr:
        model.use_zero_terminal_snr()
    model.requires_grad_(False)
    model.cast_locked(torch.float16 if torch.device(device).type == "cuda" else torch.float32)
    encoder = encoder_of(metadata)
    return Loaded(model.to(device).eval(), encoder, source, str(base), config, zero_terminal_snr)


def encoder_of(metadata: dict) -> HintEncoder | None:
    """What a map's colours mean, by a checkpoint's metadata."""
    hint = metadata.get("hint")
    return HintEncoder.from_metadata(hint) if isinstance(hint, dict) else None


def _read_base(base, checkpoint):
    try:
        return read_state_dict(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{checkpoint} was trained on {base}, which is not here: start from the folder where it is"
        ) from error


def _assemble(state, path, config):
    """(model, its yaml) of a state dict with a U-Net, grafted first where it has no control branch."""
    grafted = any(name.startswith(CONTROL) for name in state)
    if not grafted:
        refuse_other_files(state, path)
    config = config or recognise(state, path)[1]
    if grafted:
        return load_model(config, path), config
    with torch.device("meta"):
        model = create_model(config)
    model.load_state_dict(graft(state, config, path)[0], assign=True)
    return model, config


def _lay_over(model, overlay, path):
    """Put trained tensors, by name, over those of the model."""
    ours = model.state_dict()
    for name, tensor in overlay.items():
        if name not in ours or ours[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path} does not fit its base: {name} {list(tensor.shape)} has no place in it"
            )
    model.load_state_dict(overlay, strict=False, assign=True)
