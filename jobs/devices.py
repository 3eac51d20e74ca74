"""On what to compute."""

import os

import torch


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


def own_device() -> str:
    """The device that this process will train on, as long as there is no trainer to ask."""
    kind = pick_device("auto")
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if kind == "cuda" else kind
