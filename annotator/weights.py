"""Weights of strangers: read whole into a network, or refused in one line. Nothing in them is run."""

import pickle
from pathlib import Path


def read_weights(path, network, wanted: str) -> None:
    """Load a .safetensors file, or a pickle of tensors, into a network, whole.

    Names may begin with `module.`, as data parallel training writes them.

    Raises:
        ValueError: the file is no such file, or it holds the weights of something else; ends with `wanted`.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    # a file that is no pickle may fail anywhere in torch's unpickler
    faults = SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError
    faults += AttributeError, LookupError, TypeError, ValueError
    try:
        if Path(path).suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    except faults as error:
        raise ValueError(f"{path} holds no weights of {wanted}") from error
