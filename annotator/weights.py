"""Weights of strangers: told apart, and read whole into a network or refused in one line. None is run."""

import hashlib
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


def fingerprint(path, names) -> str:
    """Name and start of the SHA-256 of a file of weights, or of a folder's files of these `names` (globs)."""
    path, total = Path(path), hashlib.sha256()
    for file in sorted({file for name in names for file in path.glob(name)}) if path.is_dir() else [path]:
        with open(file, "rb") as opened:
            while block := opened.read(2**22):
                total.update(block)
    return f"{path.name} {total.hexdigest()[:16]}"
