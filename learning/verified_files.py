"""Files of a run, read back before they take the place of the former ones."""

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from jobs.whole_files import first_line, write_atomically
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict


def are_equal(a, b) -> bool:
    """Whether two nests of dicts, lists and tensors are equal, tensors to the bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(to_bits(a), to_bits(b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(are_equal(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(are_equal, a, b))
    return a == b or a != a and b != b  # not a number is not even equal to itself


def to_bits(tensor):
    """As bytes, on the CPU: equal where no comparison of numbers would find it so."""
    return tensor.detach().cpu().flatten().view(torch.uint8)


def check_written(path, wanted, found):
    if not are_equal(wanted, found):
        raise CheckpointError(
            f"{path} was read back other than it was written, and is not used; the former one stays. "
            "Check the disk and the memory of this machine"
        )


def write_weights(state, path, metadata):
    """Tensors by name as .safetensors, which replaces an older `path` only once it has been read back."""

    def write(temporary):
        write_state_dict(state, temporary, metadata)
        check_written(path, dict(state), read_state_dict(temporary))

    write_atomically(path, write, lasting=True)


def read_content(path) -> dict:
    """What Lightning has saved, memory-mapped, on the CPU whatever device it was saved from.

    That device may be one that this machine lacks, or one that has no room for it beside a run.
    """
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


class VerifiedIO(TorchCheckpointIO):
    """How Lightning writes what a run resumes from: beside the former file, read back, then in its place."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        def write(temporary):
            torch.save(checkpoint, temporary)
            check_written(path, checkpoint, read_content(temporary))

        try:
            write_atomically(path, write, lasting=True)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} could not be written, is the disk full? ({first_line(error)}) "
                "The former checkpoint is whole: make room, then the same command goes on from it"
            ) from error
