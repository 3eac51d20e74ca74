"""A pickle module for torch.load that runs nothing but the rebuilding of tensors.

Old Lightning checkpoints hold callbacks, numpy scalars and classes of packages long gone beside their
weights. Every global a pickle names, other than the few of a tensor, becomes a class without behaviour;
nothing is imported.
"""

import pickle
import sys
import warnings
from collections import OrderedDict
from functools import partial

import torch

REBUILDERS = {
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
# what no checkpoint needs and attacks do; not what keeps us safe, only what makes us say so
ATTACK_MODULES = (
    "os posix nt sys subprocess shutil socket runpy importlib pty ctypes io _io urllib requests http pip"
)
ATTACK_NAMES = "os sys subprocess eval exec compile open system popen __import__ breakpoint _load_from_bytes"


class MaliciousPickleError(pickle.UnpicklingError):
    """The pickle asks for a function that checkpoints have no use for."""


class Placeholder:
    """Stands for an object of any other class: takes every way a pickle has to fill one, keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def ignore(self, *args, **kwargs):
        return self

    __call__ = __setstate__ = __setitem__ = append = extend = add = update = ignore


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in REBUILDERS:
            rebuild = REBUILDERS[module, name]
            return lambda *args: rebuild(
                *args
            )  # a fresh one, for a pickle may set attributes of what it gets
        if module.split(".")[0] in ATTACK_MODULES.split() or set(name.split(".")) & set(ATTACK_NAMES.split()):
            raise MaliciousPickleError(f"{module}.{name}")
        return type(name, (Placeholder,), {"__module__": module})


def load(file, **kwargs):
    """Named as in the pickle module, for torch.load reads the parts of old files with it."""
    return Unpickler(file, **kwargs).load()


def load_file(path, mmap):
    """What torch.save was given, with Placeholders for all that is neither a tensor nor plain Python."""
    with warnings.catch_warnings(), open(path, "rb") as file:
        warnings.simplefilter("ignore")  # torch's own, about pickle protocols
        # torch 2.14 goes by the name, and reads a misnamed file as the safetensors that it is not
        misnamed = str(path).endswith(".safetensors")
        source = dict(f=file) if misnamed else dict(f=path, mmap=mmap)
        load_any = partial(torch.load, **source, map_location="cpu")
        try:
            return load_any(weights_only=True)
        except pickle.UnpicklingError:  # objects other than tensors, as in old Lightning files
            file.seek(0)
            return load_any(weights_only=False, pickle_module=sys.modules[__name__])
