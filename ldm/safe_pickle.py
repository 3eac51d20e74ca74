"""A pickle module for torch.load that runs nothing but the rebuilding of tensors, in the memory of the file.

Old Lightning checkpoints hold callbacks, numpy scalars and classes of packages long gone beside their
weights. Every global a pickle names, other than the few of a tensor, becomes a class without behaviour;
nothing is imported. Whatever claims more bytes than the file has is refused before it gets them.
"""

import math
import pickle
import struct
import warnings
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import torch

# what no checkpoint needs and attacks do; not what keeps us safe, only what makes us say so
ATTACK_MODULES = (
    "os posix nt sys subprocess shutil socket runpy importlib pty ctypes io _io urllib requests http pip"
)
ATTACK_NAMES = "os sys subprocess eval exec compile open system popen __import__ breakpoint _load_from_bytes"


class MaliciousPickleError(pickle.UnpicklingError):
    """The pickle asks for a function that checkpoints have no use for."""


class OversizedPickleError(pickle.UnpicklingError):
    """The pickle asks for more memory than its file can fill."""


class Placeholder:
    """Stands for an object of any other class: takes every way a pickle has to fill one, keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def ignore(self, *args, **kwargs):
        return self

    __call__ = __setstate__ = __setitem__ = append = extend = add = update = ignore


class _Bytes(Placeholder):
    """Stands for torch.UntypedStorage, which a pickle may name as what a file's bytes are, but never make."""

    dtype = torch.uint8


def _rebuild_within(rebuild):
    """A rebuilder of torch that never enlarges the storage it is given."""

    def rebuild_within(storage, offset, size, stride, *others):
        dtype = next((other for other in others if isinstance(other, torch.dtype)), storage.dtype)
        last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
        held = storage._untyped_storage.nbytes()
        if math.prod(size) and (last + 1) * dtype.itemsize > held:
            raise OversizedPickleError(f"a tensor of shape {list(size)!r:.80} in {held:,} bytes")
        return rebuild(storage, offset, size, stride, *others)

    return rebuild_within


def _rebuild_parameter(data, *others):
    return torch.nn.Parameter(data, requires_grad=False)


def _rebuild_from_type(rebuild, kind, arguments, state):
    """A tensor with attributes of its own, without them."""
    return rebuild(*arguments)


def _ordered_dict(pairs=()):
    return OrderedDict((_as_key(key), value) for key, value in pairs)


def _as_key(key):
    """A key of a dict; none that is a tuple, for to hash one that nests takes time without bound."""
    return Placeholder() if isinstance(key, tuple) else key


def _bytearray(content=(), *others):
    if isinstance(content, int):
        raise OversizedPickleError(f"a bytearray of {content:,} bytes")
    return Placeholder()


KNOWN = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
    ("torch._utils", "_rebuild_tensor"): _rebuild_within(torch._utils._rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_within(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_within(torch._utils._rebuild_tensor_v3),
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    ("torch.storage", "UntypedStorage"): _Bytes,
}


class Unpickler(pickle._Unpickler):
    """Python's own, not the one in C, which sets memory aside for any number that a pickle counts objects by.

    `num_bytes`, of the whole file, bounds what is read at once and what all storages claim together. Only
    dicts, lists and tuples are filled: not the sets, tensors and functions of a pickle.
    """

    num_bytes: int
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file, **options):
        def read(count):
            if count > self.num_bytes:
                raise OversizedPickleError(f"a text of {count:,} bytes")
            return file.read(count)

        super().__init__(SimpleNamespace(read=read, readline=file.readline), **options)
        self.claims, self.claimed = {}, 0  # bytes by the storage's name, and of all

    def find_class(self, module, name):
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
            return vars(torch)[name]
        if module.split(".")[0] in ATTACK_MODULES.split() or set(name.split(".")) & set(ATTACK_NAMES.split()):
            raise MaliciousPickleError(f"{module}.{name}")
        return type(name, (Placeholder,), {"__module__": module})

    def load_storage(self):
        identity = self.stack[-1]
        if isinstance(identity, tuple) and len(identity) > 4:
            _, storage, name, _, count, *_ = identity
            size = max(count * storage.dtype.itemsize, self.claims.get(name, 0))
            self.claimed += size - self.claims.get(name, 0)
            self.claims[name] = size
            if self.claimed > self.num_bytes:
                raise OversizedPickleError(f"tensors of {self.claimed:,} bytes")
        self.load_binpersid()

    def load_items(self):
        self.fill(self.pop_mark())

    def load_item(self):
        self.stack[-2:], item = [], self.stack[-2:]
        self.fill(item)

    def load_dict(self):
        items = self.pop_mark()
        self.append({})
        self.fill(items)

    def fill(self, items):
        if isinstance(target := self.stack[-1], dict):
            target |= zip(map(_as_key, items[::2]), items[1::2], strict=True)

    def load_frozenset(self):
        self.pop_mark()
        self.append(frozenset())

    def load_bytearray(self):
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))

    dispatch |= {
        pickle.BINPERSID[0]: load_storage,
        pickle.SETITEM[0]: load_item,
        pickle.SETITEMS[0]: load_items,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: pickle._Unpickler.pop_mark,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.BUILD[0]: lambda self: self.stack.pop(),
        pickle.BYTEARRAY8[0]: load_bytearray,
    }


def load_file(path, mmap):
    """What torch.save was given, with Placeholders for all that is neither a tensor nor plain Python."""
    kind = type("Unpickler", (Unpickler,), dict(num_bytes=Path(path).stat().st_size))
    # torch reads the parts of old files with `load`
    module = SimpleNamespace(
        __name__=__name__, Unpickler=kind, load=lambda file, **options: kind(file, **options).load()
    )
    with warnings.catch_warnings(), open(path, "rb") as file:
        warnings.simplefilter("ignore")  # torch's own, about typed storages
        # torch 2.14 goes by the name, and reads a misnamed file as the safetensors that it is not
        misnamed = str(path).endswith(".safetensors")
        source = dict(f=file) if misnamed else dict(f=path, mmap=mmap)
        return torch.load(**source, map_location="cpu", weights_only=False, pickle_module=module)
