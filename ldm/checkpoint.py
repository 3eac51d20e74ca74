"""Checkpoints as files: state dicts in and out, safely, memory-mapped, whole or not at all."""

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from jobs.shipped import find_shipped
from jobs.whole_files import first_line, write_atomically
from ldm import safe_pickle

TORCH_SUFFIXES = (".ckpt", ".pt", ".pth")
IMPOSTORS = {
    b"version https://git-lfs": "is a git-lfs pointer, not the weights: run `git lfs pull` in its folder",
    b"<": "is a web page, not the weights: use the download link of the file itself",
}


# names under which trainers keep a model's tensors (`module` is DeepSpeed's), and modules put around a
# model or its parts: data parallel, torch.compile, FSDP, activation checkpointing, Lightning's DeepSpeed
WRAPPERS = "state_dict", "model_state_dict", "module", "model"
WRAPPING_MODULES = {
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
}
MAX_NESTING, MAX_VALUES = 50, 500_000  # of metadata
MAX_SHARING = 4  # tensors of a file that are one in memory, as tied weights are


class CheckpointError(ValueError):
    """A file that is not what it should be; the message is one line that says what to do."""


def read_state_dict(path) -> dict[str, torch.Tensor]:
    """The tensors of a .ckpt or .safetensors file by name, on the CPU, memory-mapped where the format allows.

    Recognised by content, not by name. What trainers wrap around a model, in the file or in its names, is
    taken off. Nothing in the file is executed. One of models/ that is not there is the one that comes with
    the code.
    """
    path = find_shipped(path)
    if file_kind(path) == "safetensors":
        with open_safetensors(path) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        return without_wrappers(state, path)
    state = find_tensors(read_pickle(path))
    if state is None:
        raise CheckpointError(
            f"{path} holds no state dict, that is no tensors by name: not a model's weights"
        )
    for name, value in state.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path}: a tensor is named {name!r:.60}, which is no text")
        if isinstance(value, safe_pickle.Placeholder):
            kind = type(value).__name__
            rebuilt = "no plain tensor but sparse, quantised or without values"
            what = rebuilt if kind.startswith("_rebuild_") else f"not a tensor but an unknown {kind}"
            raise CheckpointError(f"{path}: {name} is {what}")
    state = {name: value.detach() for name, value in state.items() if isinstance(value, torch.Tensor)}
    check_storages(state, path)
    return without_wrappers(state, path)


def find_tensors(content, depth=0) -> dict | None:
    """The dict with tensors in what was saved: itself, or below up to four WRAPPERS."""
    if not isinstance(content, dict) or depth > 4:
        return None
    inner = (find_tensors(content[name], depth + 1) for name in WRAPPERS if name in content)
    found = next((state for state in inner if state is not None), None)
    if found is None and any(isinstance(value, torch.Tensor) for value in content.values()):
        return content
    return found


def check_storages(state, path):
    """Raise for tensors that claim more numbers than the file holds."""
    for name, tensor in state.items():
        held = tensor.untyped_storage().nbytes()
        if tensor.nbytes > held:
            raise CheckpointError(f"{path}: {name} {list(tensor.shape)} claims more numbers than it brings")
    claimed, size = sum(tensor.nbytes for tensor in state.values()), Path(path).stat().st_size
    if claimed > MAX_SHARING * size:
        raise CheckpointError(f"{path}: its tensors claim {claimed:,} bytes, but the file has {size:,}")


def check_finite(state, path):
    """Raise for weights that are infinite or no numbers: a model with one of them draws and learns nothing.

    Not for tables of the noise schedule, whose names have no dot, nor for masks: these may be infinite.
    """
    for name, tensor in state.items():
        if tensor is None or tensor.is_meta or not tensor.is_floating_point():
            continue
        if "." not in name or name.endswith("mask"):
            continue
        tensor = tensor.float() if tensor.itemsize == 1 else tensor
        # a sum reads without writing; where it overflows, each number is looked at
        if not tensor.sum(dtype=torch.float32).isfinite() and not tensor.isfinite().all():
            raise CheckpointError(
                f"{path}: {name} holds infinite values or no numbers: such weights draw nothing"
            )


def without_wrappers(state, path):
    """The same tensors by the names that they have in the model alone."""
    result, origins = {}, {}
    for name, tensor in state.items():
        bare = ".".join(part for part in name.split(".") if part not in WRAPPING_MODULES)
        if bare in result:
            raise CheckpointError(
                f"{path} holds two tensors for {bare}: {origins[bare]} and {name}; leave one of them out"
            )
        result[bare], origins[bare] = tensor, name
    return result


def read_metadata(path) -> dict:
    """What a file says about itself: strings, dicts and lists by name; {} if nothing."""
    path = find_shipped(path)
    if file_kind(path) == "safetensors":
        with open_safetensors(path) as file:
            texts = file.metadata() or {}
        return {name: from_text(text) for name, text in texts.items() if name != "format"}
    content = read_pickle(path)
    metadata = content.get("metadata", {}) if isinstance(content, dict) else {}
    texts = map(as_text, metadata.items()) if isinstance(metadata, dict) else ()
    return {name: from_text(text) for name, text in texts if text is not None}


def as_text(item):
    """(name, text) of an item of metadata, None for the text of what JSON does not know."""
    name, value = item
    try:
        return str(name), value if isinstance(value, str) else json.dumps(value) if is_small(value) else None
    except (TypeError, ValueError):
        return str(name), None


def from_text(text):
    """A metadata string, or the dict or list it spells in JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) and is_small(value) else text


def is_small(value) -> bool:
    """Whether dicts and lists nest, and multiply where one is in many places, within bounds."""
    waiting, count = [(value, 1)], 0
    while waiting:
        part, depth = waiting.pop()
        count += 1
        below = (
            list(part.values()) if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        )
        if depth > MAX_NESTING or count + len(waiting) + len(below) > MAX_VALUES:
            return False
        waiting += [(other, depth + 1) for other in below]
    return True


def file_kind(path):
    """safetensors, zip (today's torch files) or pickle (torch files before 2020), from the first bytes."""
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: give the .ckpt or .safetensors file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        raise CheckpointError(f"{path} is empty: download it again")
    if head[8:9] == b"{":
        return "safetensors"
    for start, what in IMPOSTORS.items():
        if head.lstrip().startswith(start):
            raise CheckpointError(f"{path} {what}")
    if head.startswith(b"PK\x03\x04"):
        check_zip(path)
        return "zip"
    if head.startswith(b"\x80") and not tarfile.is_tarfile(path):
        return "pickle"
    raise CheckpointError(f"{path} is not a checkpoint: neither a torch file nor safetensors")


def check_zip(path):
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is truncated, the end of the file is missing: download it again")
    with zipfile.ZipFile(path) as file:
        names = {Path(name).name for name in file.namelist()}
        if any(entry.compress_type for entry in file.infolist()):
            raise CheckpointError(
                f"{path} is a compressed zip file, which torch.save does not write: unpack it"
            )
        if sum(entry.file_size for entry in file.infolist()) > path.stat().st_size:
            raise CheckpointError(f"{path} is damaged or malicious: its parts claim more bytes than it has")
    if "data.pkl" not in names or "constants.pkl" in names:
        raise CheckpointError(f"{path} is a zip file, but not a checkpoint saved by torch.save")


def open_safetensors(path):
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged, get it again: {first_line(error)}") from error


def read_pickle(path):
    """What torch.save was given, with Placeholders for all that is neither a tensor nor plain Python."""
    kind = file_kind(path)
    try:
        return safe_pickle.load_file(path, mmap=kind == "zip")
    except safe_pickle.MaliciousPickleError as error:
        message = f"{path} is malicious: it asks to call {error}. Nothing was executed; delete the file"
        raise CheckpointError(message) from error
    except safe_pickle.OversizedPickleError as error:
        size = Path(path).stat().st_size
        message = f"{path} is damaged or malicious: it asks for {error}, but the file has {size:,}"
        raise CheckpointError(message) from error
    except Exception as error:  # bytes that are no pickle can make an unpickler raise anything
        message = f"{path} is damaged or not a checkpoint saved by torch.save ({first_line(error)})"
        raise CheckpointError(message) from error


def write_state_dict(state, path, metadata: dict | None = None, overwrite=False):
    """Write tensors by name, all or nothing: as .ckpt (bare) or .safetensors (with metadata).

    Args:
        metadata: strings, dicts and lists by name.
    """
    path = check_writable(path, overwrite)
    state = stand_alone(state)
    size = sum(tensor.nbytes for tensor in state.values())
    free = shutil.disk_usage(path.absolute().parent).free
    room = f"{size / 2**20:,.0f} MiB to write, {free / 2**20:,.0f} MiB free in {path.absolute().parent}"
    if size > free:
        raise CheckpointError(f"{path} cannot be written, the disk is full: {room}")
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in (metadata or {}).items()}

    def write(temporary):
        if path.suffix == ".safetensors":
            save_file(state, temporary, metadata={"format": "pt", **texts})
        else:
            torch.save(state, temporary)

    try:
        write_atomically(path, write, lasting=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} could not be written, nothing was left: {room} ({first_line(error)})"
        ) from error


def check_writable(path, overwrite=False):
    """Raise what would stop write_state_dict, to be called before the hours of work that it would lose."""
    path = Path(path)
    if path.suffix not in (*TORCH_SUFFIXES, ".safetensors"):
        raise CheckpointError(f"{path}: the name of a checkpoint ends in .ckpt or .safetensors")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already: choose another name or delete it first")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} does not exist: make it first")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the folder {folder} is not writable: choose another one")
    return path


def stand_alone(state):
    """The same tensors, contiguous, none a view of a larger one or of another: files would keep such ties."""
    seen, result = set(), {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        address = tensor.data_ptr()
        if tensor.untyped_storage().nbytes() != tensor.nbytes or address in seen:
            tensor = tensor.clone()
        seen.add(address)
        result[name] = tensor
    return result
