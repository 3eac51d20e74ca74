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


def fast_layout(device) -> torch.memory_format:
    """The layout of pictures and kernels of which convolutions are fastest on a device.

    Matrix units of GPUs want channels last. On a CPU that costs the tiny model a fifth: group norms of few
    channels are slow there.
    """
    return torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format


def to_channels_first(pictures, device):
    """Pictures (b, H, W, c) -> float32 (b, c, H, W) on a device, in the layout that is fast there."""
    pictures = pictures.to(device, torch.float32).permute(0, 3, 1, 2)
    return pictures.contiguous(memory_format=fast_layout(device))


def send(tensor, device):
    """A tensor of the CPU on a device, without a wait until the device has done what it was told before."""
    device = torch.device(device)
    return tensor.to(device, non_blocking=device.type == "cuda")


def own_device() -> str:
    """The device that this process will train on, as long as there is no trainer to ask."""
    kind = pick_device("auto")
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if kind == "cuda" else kind
