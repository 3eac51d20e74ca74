"""From a try-on checkpoint to a model that is ready to put garments on."""

from dataclasses import dataclass
from pathlib import Path

from cldm.model import TRYON, create_on_meta, is_tryon
from cldm.tryon.model import TryonLDM
from cldm.tryon.record import TryonRecord
from cldm.weights.convert import read_weights
from cldm.weights.families import base_of, named_config, own_config
from cldm.weights.load import make_ready, read_under
from ldm.checkpoint import CheckpointError, read_metadata
from ldm.published_names import fill_unused


@dataclass
class LoadedTryon:
    """A model that is ready to draw, and what its file says of drawing with it."""

    model: TryonLDM
    record: TryonRecord
    source: str
    config: str
    notes: list[str]  # what was taken for granted, for the user


def puts_garments_on(path, config=None) -> bool:
    """Whether a file is a try-on checkpoint, by what it says; `config` goes before it."""
    return is_tryon(config) if config else Path(path).is_file() and "tryon" in read_metadata(path)


def load_tryon(checkpoint, config=None, device="cpu", base=None, **by_hand) -> LoadedTryon:
    """A whole try-on model, or what training changed of one laid over its base.

    Args:
        checkpoint: a .safetensors or .ckpt file.
        config: yaml of the recipe; None takes the one that the checkpoint names.
        device: on a GPU all weights but the autoencoder's are held in fp16.
        base: the file that training started from; None takes the one that the checkpoint names.
        by_hand: fields of TryonRecord; what is not None counts before what the checkpoint says.

    Raises:
        CheckpointError: no recipe is named, tensors are missing, unknown or of another shape, or the metadata
            are damaged.
    """
    weights = read_weights(checkpoint)
    config, notes = config or own_config(weights), list(weights.notes)
    if config is None:
        named = named_config(weights)
        raise CheckpointError(
            f"{checkpoint} names {f'{named}, no yaml of models/' if named else 'no recipe'}: give --config "
            "with the try-on recipe that it was trained by"
        )
    if not is_tryon(config):
        raise CheckpointError(f"{config} is no try-on recipe, whose target is {TRYON}")
    model = create_on_meta(config)
    state, wanted, source = weights.state, model.state_dict(), str(checkpoint)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    _refuse_missing(sorted(trained - state.keys()), checkpoint, f"is {config} its recipe?")
    if any(name not in state for name, tensor in wanted.items() if tensor.is_meta):
        under = base or base_of(weights)
        if under is None:
            raise CheckpointError(f"{checkpoint} does not say what its base is: give --base FILE")
        state = (
            read_under(weights, under, given=base, recipe=weights.recorded("config") or config).state | state
        )
        source = f"{checkpoint} on {under}"
    _fill(model, state, wanted, source, config)
    if foreign := [name for name in weights.state if name not in wanted and not name.startswith("model_ema")]:
        raise CheckpointError(
            f"{checkpoint} is of another recipe than {config}, which has no place for {foreign[0]}"
        )
    try:
        record = _read_record(weights.metadata, model, notes).changed(**by_hand)
        record.apply(model)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint}: tryon of its metadata: {error}") from error
    if weights.recorded("zero_terminal_snr", bool):
        model.use_zero_terminal_snr()
    return LoadedTryon(make_ready(device, model), record, source, str(config), notes)


def _read_record(metadata, model, notes) -> TryonRecord:
    if "tryon" in metadata:
        return TryonRecord.from_metadata(metadata["tryon"])
    notes.append("it does not say how to draw with it: guidance, repainting and scale are its recipe's")
    return TryonRecord.of(model)


def _fill(model, state, wanted, source, config):
    """Put tensors by name into a model on meta; the schedule's tables are the yaml's own where rounded."""
    state = fill_unused(state, model)
    for name in wanted.keys() & state.keys():
        if state[name].shape != wanted[name].shape:
            raise CheckpointError(
                f"{source} does not fit {config}: {name} is {list(state[name].shape)} in the file, "
                f"{list(wanted[name].shape)} in the yaml"
            )
    state = {
        name: state[name]
        for name, tensor in wanted.items()
        if name in state and (tensor.is_meta or state[name].dtype == tensor.dtype)
    }
    missing = [name for name, tensor in wanted.items() if tensor.is_meta and name not in state]
    _refuse_missing(missing, source, "graft the recipe first, tool_add_control.py --config, and give --base")
    model.load_state_dict(state, strict=False, assign=True)


def _refuse_missing(names, source, remedy):
    if names:
        raise CheckpointError(f"{source} lacks {len(names)} tensors, the first is {names[0]}: {remedy}")
