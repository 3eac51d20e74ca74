"""A GPU that is none: tensors that say cuda:0, compute on the CPU, and refuse what a GPU refuses.

    with pretended_gpu():
        model.to("cuda")(torch.ones(1))     # RuntimeError: ... found at least two devices, cuda:0 and cpu

Within it torch says that it has one CUDA device. What `.to("cuda")`, `.cuda()` and `device="cuda"` give are
`OnGpu` tensors: `.device` is cuda:0, and the numbers, real ones, lie in a tensor of the CPU. So control flow
that depends on numbers (`.item()`, `if x.any()`, a text model that ends at its end token) runs as it would,
which torch's FakeTensorMode cannot offer. Only `.to`, `.cpu`, `.cuda` and `copy_` bring numbers from one
device to another.

Caught, in every thread, forward and backward:
- operations on tensors of both devices, but for those that torch allows: a CPU tensor of no dimension among
  pointwise operations, CPU indices into a GPU's tensor, the lengths of packed sequences;
- a GPU's tensor that is handed to numpy, or to what reads memory (dlpack, PIL, OpenCV);
- generators of the other device, and random states: the GPU has its own, which torch.cuda saves and sets;
- a tensor of the GPU pinned; gradients or data of one device assigned to a tensor of the other;
- files: torch.save notes the device, and torch.load without map_location goes back to it.

Not caught: what a GPU has no kernel for, or computes with other numbers; memory; synchronisation; streams; a
second GPU; processes that are started anew. Autocast is the CPU's: its list of operations in 16 bit is nearly
the GPU's, but operations on the CPU beside the GPU's are cast as well. C++ that asks a tensor for its device
hears "cpu", so a branch there takes the CPU's way.
"""

import contextlib
import threading
import warnings
import weakref
from functools import cache
from types import SimpleNamespace
from unittest import mock

import torch
import torch._dynamo  # before its table of torch's functions could hold ours
import torch.utils._device
from torch.utils._python_dispatch import return_and_correct_aliasing

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
BASE_TENSOR = torch._C.TensorBase
aten = torch.ops.aten

# a tensor of either device is taken for one of their arguments
EITHER = {aten.copy_.default, aten.fill_.Tensor, aten._pack_padded_sequence.default}
INDEXED = {
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index_put.default,
}
# pointwise, but for their tag
SCALARS_OF_CPU = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor, aten.where.self, aten.result_type.Tensor}


class MixedDevices(RuntimeError):
    """Tensors of both devices in one operation."""

    def __init__(self, func, seen="cuda:0 and cpu"):
        super().__init__(
            f"Expected all tensors to be on the same device, but found at least two devices, {seen}! ({func})"
        )


class OnGpu(torch.Tensor):
    """A tensor that says cuda:0; `inner` is where its numbers are."""

    @staticmethod
    def __new__(cls, inner):
        layout = dict(strides=inner.stride(), storage_offset=inner.storage_offset(), layout=inner.layout)
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, device=CPU, **layout)
        made.inner = inner
        return made

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def get_device(self):
        return GPU.index

    def numpy(self, *arguments, **options):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )

    __array__ = __dlpack__ = numpy

    def data_ptr(self):
        return self.inner.data_ptr()

    def pin_memory(self, *arguments):
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self, **options):
        return f"OnGpu({self.inner!r})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copied = self.detach().clone().requires_grad_(self.requires_grad)
            copied.__dict__.update({name: v for name, v in self.__dict__.items() if name != "inner"})
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        saved.storages.add(self.inner.untyped_storage().data_ptr())
        inner = self.inner.detach().requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            inner = torch.nn.Parameter(inner, self.requires_grad)
        return inner.__reduce_ex__(protocol)

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, new):
        if not isinstance(new, OnGpu):
            raise MixedDevices("data")
        BASE_TENSOR.data.__set__(self, new)
        self.inner = new.inner

    @property
    def grad(self):
        return BASE_TENSOR.grad.__get__(self)

    @grad.setter
    def grad(self, new):
        if new is not None and not isinstance(new, OnGpu):
            raise RuntimeError("assigned grad has data located on a different device")
        BASE_TENSOR.grad.__set__(self, new)

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        refuse_mixed(func, args, kwargs)
        target = kwargs.get("device")
        # a copy to the CPU is `moved` below: here it is the backward of a change of dtype, in C++
        stays = target is None or torch.device(target).type == "cuda" or func is aten._to_copy.default
        given, named = each(inner_of, args), each(inner_of, kwargs)
        if target is not None and stays:
            named["device"] = CPU
        if is_seeded(func) and named.get("generator") is None:
            with gpu_random_state():
                out = func(*given, **named)
        else:
            out = func(*given, **named)
        if func is aten._pack_padded_sequence.default:
            return OnGpu(out[0]), out[1]  # the batches' sizes stay on the CPU
        if not stays:
            return out
        if func._schema.is_mutable:
            for value in leaves((args, *kwargs.values())):
                if isinstance(value, OnGpu) and value.shape != value.inner.shape:  # resized as an output
                    BASE_TENSOR.data.__set__(value, OnGpu(value.inner))
        return return_and_correct_aliasing(func, args, kwargs, each(on_gpu, out))


saved = threading.local()
saved.storages = set()


def inner_of(value):
    return value.inner if isinstance(value, OnGpu) else value


def on_gpu(value):
    return OnGpu(value) if type(value) is torch.Tensor else value


def each(function, values):
    """The function of each value within lists, tuples and dicts, sooner than by torch's tree_map."""
    if isinstance(values, (list, tuple)):
        return type(values)([each(function, value) for value in values])
    if isinstance(values, dict):
        return {name: each(function, value) for name, value in values.items()}
    return function(values)


def leaves(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from leaves(value)
        else:
            yield value


@cache
def is_seeded(func):
    return torch.Tag.nondeterministic_seeded in func.tags


@cache
def takes_cpu_scalars(func):
    """Whether a CPU tensor of no dimension is a number to an operation."""
    return torch.Tag.pointwise in func.tags or func in SCALARS_OF_CPU or "_foreach_" in func.name()


def refuse_mixed(func, args, kwargs):
    """Raise what a GPU would of an operation that has at least one OnGpu among its arguments."""
    strangers, generator = [], None
    for value in leaves((args, *kwargs.values())):
        if isinstance(value, torch.Tensor):
            if not isinstance(value, OnGpu):
                strangers.append(value)
        elif isinstance(value, torch._C.Generator):
            generator = value
    if generator is not None and type_of(generator) != "cuda":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if not strangers or func in EITHER:
        return
    if func in INDEXED:
        values = [value for value in args[2:3] if isinstance(value, torch.Tensor)]
        if isinstance(args[0], OnGpu) and all(isinstance(v, OnGpu) or not v.dim() for v in values):
            return
        # the gradient of an index is put, by torch's own C++, into zeros of what it takes for the device
        if func is aten.index_put.default and torch._C._current_graph_task_id() != -1:
            return
        raise MixedDevices(func)
    written = func._schema.is_mutable and not isinstance(args[0], OnGpu)
    if written or not takes_cpu_scalars(func) or any(tensor.dim() for tensor in strangers):
        raise MixedDevices(func)


class Moved(torch.autograd.Function):
    """A copy on the other device, whose gradient comes back to the first."""

    @staticmethod
    def forward(ctx, x):
        return moved(x)

    @staticmethod
    def backward(ctx, gradient):
        return moved(gradient)


def moved(x):
    return x.inner.clone() if isinstance(x, OnGpu) else OnGpu(x.detach().clone())


def to(self, *args, **kwargs):
    """Tensor.to, which knows of both devices."""
    if args and isinstance(args[0], torch.Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    elif isinstance(kwargs.get("other"), torch.Tensor):
        other = kwargs.pop("other")
        kwargs |= dict(device=other.device, dtype=other.dtype)
    copy = kwargs.pop("copy", False)
    if len(args) >= 4:
        args, copy = args[:3], args[3]
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
    device = at(device)
    options = dict(dtype=dtype or self.dtype, non_blocking=non_blocking)
    if layout is not None:
        options["memory_format"] = layout
    if device is None or device == self.device or "cuda" not in (device.type, self.device.type):
        named = {} if device in (None, GPU) else dict(device=device)
        return BASE_TENSOR.to(self, **named, **options, copy=copy)
    if device.type not in ("cpu", "cuda"):  # meta: numbers go
        return BASE_TENSOR.to(self.inner, device=device, **options)
    if self.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    converted = BASE_TENSOR.to(self, **options)
    return Moved.apply(converted) if converted.requires_grad and torch.is_grad_enabled() else moved(converted)


def at(device):
    """The whole name of a device, as torch completes it."""
    device = None if device is None else torch.device(device)
    return GPU if device is not None and device.type == "cuda" else device


class _AnyGenerator(type):
    def __instancecheck__(cls, value):
        return isinstance(value, torch._C.Generator)


class Generator(torch._C.Generator, metaclass=_AnyGenerator):
    """torch.Generator: one of the GPU where that is asked for, else torch's own."""

    gpu = weakref.WeakValueDictionary()  # by address: on its way through torch one loses its class

    def __new__(cls, device="cpu"):
        if torch.device(device).type != "cuda":
            return torch._C.Generator(device)
        made = super().__new__(cls, "cpu")
        Generator.gpu[made._cdata] = made
        return made

    device = property(lambda self: GPU)


def type_of(generator):
    return "cuda" if generator._cdata in Generator.gpu else "cpu"


@contextlib.contextmanager
def gpu_random_state():
    """Within it torch's default source of random numbers is the GPU's own."""
    before = torch.default_generator.get_state()
    torch.default_generator.set_state(DEFAULT.get_state())
    try:
        yield
    finally:
        DEFAULT.set_state(torch.default_generator.get_state())
        torch.default_generator.set_state(before)


DEFAULT = Generator("cuda")


def drawing(function):
    """A function that draws random numbers on the CPU refuses a generator of the GPU."""

    def drawn(*args, **kwargs):
        generator = kwargs.get("generator")
        device = (
            args[0].device if args and isinstance(args[0], torch.Tensor) else at(kwargs.get("device")) or CPU
        )
        if generator is not None and type_of(generator) != device.type != "meta":
            found = type_of(generator)
            raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{found}'")
        return function(*args, **kwargs)

    return drawn


def made_on_gpu(func):
    """The GPU's kernel of an operation that makes a tensor from none."""

    def make(*args, **kwargs):
        return OnGpu(func(*args, **kwargs | dict(device=CPU, pin_memory=False)))

    return make


def placed(function):
    """torch.tensor, as_tensor and asarray: their tensor is made on the CPU, then moved."""

    def place(data, *args, device=None, requires_grad=False, **kwargs):
        if isinstance(data, OnGpu):
            kwargs.setdefault("dtype", args[0] if args else data.dtype)
            copied = data.detach().clone() if function.__name__ == "tensor" else data
            return copied.to(device or GPU, kwargs["dtype"]).requires_grad_(requires_grad)
        wanted = at(device)
        on_gpu = wanted == GPU
        try:
            made = function(data, *args, device=None if on_gpu else device, **kwargs)
        except (TypeError, ValueError, RuntimeError):  # a list of the GPU's tensors of one element
            made = function(each(number_of, data), *args, device=None if on_gpu else device, **kwargs)
        made = made.to(GPU) if on_gpu else made
        return made.requires_grad_() if requires_grad else made

    return place


def number_of(value):
    return value.item() if isinstance(value, OnGpu) else value


def new_tensor(self, *args, **kwargs):
    return BASE_TENSOR.new_tensor(self, *args, **kwargs).to(kwargs.get("device") or self.device)


def swap_tensors(parameter, moved):
    """torch.utils.swap_tensors, by which modules move; a parameter that a failed step still holds stays."""
    try:
        torch._C._swap_tensor_impl(parameter, moved)
    except RuntimeError:
        if isinstance(parameter, OnGpu):
            return
        raise
    parameter.__class__, moved.__class__ = moved.__class__, parameter.__class__
    parameter.__dict__, moved.__dict__ = moved.__dict__, parameter.__dict__


def grouped(function):
    """The grouping of optimizers, which gives the device that C++ knows."""

    def group(tensors, with_indices=False):
        groups = function(tensors, with_indices)
        return {(found[0][0][0].device, dtype): found for (_, dtype), found in groups.items()}

    return group


def both_autocasts(function):
    """torch's switch of the GPU's autocast switches the CPU's, which the numbers meet."""

    def switch(device, value):
        function(device, value)
        if device == "cuda":
            function("cpu", value)

    return switch


def forgetting(function):
    """torch.save and torch.load note storages of the GPU while they run."""

    def run(*args, **kwargs):
        saved.__dict__.setdefault("storages", set())
        try:
            return function(*args, **kwargs)
        finally:
            saved.storages.clear()

    return run


def location_of(storage):
    return "cuda:0" if storage.data_ptr() in saved.storages else None


def read_to(storage, location):
    if not location.startswith("cuda"):
        return None
    saved.storages.add(storage.data_ptr())
    return storage


def rebuilt(function):
    """torch._utils._rebuild_tensor: what was read from the GPU's storages is on the GPU."""

    def rebuild(storage, *args):
        tensor = function(storage, *args)
        address = tensor.untyped_storage().data_ptr()
        return OnGpu(tensor) if address and address in saved.__dict__.get("storages", ()) else tensor

    return rebuild


def always(value):
    """A function that returns it: a new one each time, since torch tells its functions apart by identity."""
    return lambda *args, **kwargs: value


class Current:
    """torch.cuda.device, Stream and Event: there is one device, and nothing waits."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    record = wait = synchronize = wait_stream = record_event = wait_event = always(None)
    query, elapsed_time = always(True), always(0)


def functions():
    """(module, name, stand-in) of all that asks for the device."""
    properties = SimpleNamespace(
        name="a pretended GPU", major=8, minor=0, total_memory=24 << 30, multi_processor_count=100
    )
    for (
        name
    ) in "empty_cache synchronize reset_peak_memory_stats _lazy_init init set_device ipc_collect".split():
        yield torch.cuda, name, always(None)
    for (
        name
    ) in "current_device memory_allocated max_memory_allocated memory_reserved max_memory_reserved".split():
        yield torch.cuda, name, always(0)
    for name in "is_available is_initialized is_bf16_supported".split():
        yield torch.cuda, name, always(True)
    yield torch.cuda, "device_count", always(1)
    for name in ("_is_in_bad_fork", "is_current_stream_capturing"):
        yield torch.cuda, name, always(False)
    yield torch.cuda, "get_device_name", lambda device=None: properties.name
    yield torch.cuda, "get_device_capability", lambda device=None: (8, 0)
    yield torch.cuda, "get_device_properties", lambda device=None: properties
    yield torch.cuda, "mem_get_info", lambda device=None: (24 << 30, 24 << 30)
    yield torch.cuda, "memory_stats", lambda device=None: {}
    yield torch.cuda, "default_generators", (DEFAULT,)
    yield torch.cuda, "get_rng_state", lambda device=None: DEFAULT.get_state()
    yield torch.cuda, "get_rng_state_all", lambda: [DEFAULT.get_state()]
    yield torch.cuda, "set_rng_state", lambda state, device=None: DEFAULT.set_state(state)
    yield torch.cuda, "set_rng_state_all", lambda states: DEFAULT.set_state(states[0])
    for name in ("manual_seed", "manual_seed_all"):
        yield torch.cuda, name, lambda seed: DEFAULT.manual_seed(seed) and None
    yield torch.backends.cudnn, "is_acceptable", always(False)
    for name in "device device_of Stream Event stream".split():
        yield torch.cuda, name, Current
    yield torch.cuda, "current_stream", Current
    yield torch.accelerator, "is_available", always(True)
    yield torch.accelerator, "device_count", always(1)
    yield torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda")
    yield torch.accelerator, "current_device_index", always(0)
    for name in "set_device_index synchronize empty_cache reset_peak_memory_stats".split():
        yield torch.accelerator, name, always(None)
    for name in ("memory_allocated", "max_memory_allocated"):
        yield torch.accelerator, name, always(0)
    yield torch, "Generator", Generator
    for name in "rand randn randint randperm bernoulli multinomial normal".split():
        yield torch, name, drawing(getattr(torch, name))
    name = "_group_tensors_by_device_and_dtype"
    yield torch._C, name, grouped(getattr(torch._C, name))
    for name in ("tensor", "as_tensor", "asarray"):
        yield torch, name, placed(getattr(torch, name))
    for name in ("set_autocast_enabled", "set_autocast_dtype"):
        yield torch, name, both_autocasts(getattr(torch, name))
    for name in ("save", "load"):
        yield torch, name, forgetting(getattr(torch, name))
    # tensors of a class cannot be viewed within inference mode
    yield torch._C, "_InferenceMode", lambda on: torch.no_grad() if on else contextlib.nullcontext()
    yield torch.utils, "swap_tensors", swap_tensors
    yield torch._utils, "_rebuild_tensor", rebuilt(torch._utils._rebuild_tensor)
    yield torch.Tensor, "to", to
    yield torch.Tensor, "cpu", lambda self, memory_format=torch.preserve_format: to(self, "cpu")
    yield torch.Tensor, "cuda", lambda self, device=None, non_blocking=False, **_: to(self, "cuda")
    yield torch.Tensor, "type_as", lambda self, other: to(self, other)
    yield torch.Tensor, "new_tensor", new_tensor
    yield torch.Tensor, "pin_memory", lambda self, device=None: self
    for name in "normal_ uniform_ random_ bernoulli_ exponential_ multinomial bernoulli".split():
        yield torch.Tensor, name, drawing(getattr(BASE_TENSOR, name))


@contextlib.contextmanager
def pretended_gpu():
    """One CUDA device in this process, of any build of torch, as the docstring above says."""
    torch.utils._device._device_constructors()  # remembered by torch: of its own functions, not of ours
    kernels = torch.library.Library("aten", "IMPL")
    packages = torch.serialization._package_registry
    before = [*packages]
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        for module, name, instead in functions():
            stack.enter_context(mock.patch.object(module, name, instead, create=True))
        try:
            warnings.filterwarnings("ignore", "Warning only once for all operators", UserWarning)
            for name, func in (
                ("empty.memory_format", aten.empty.memory_format),
                ("empty_strided", aten.empty_strided.default),
                ("tril_indices", aten.tril_indices.default),
                ("triu_indices", aten.triu_indices.default),
            ):
                kernels.impl(name, made_on_gpu(func), "CUDA", allow_override=True)
            torch.serialization.register_package(1, location_of, read_to)
            # parameters stay the same objects when a module moves, as between real devices
            torch.__future__.set_swap_module_params_on_conversion(True)
            DEFAULT.manual_seed(0)
            yield GPU
        finally:
            torch.__future__.set_swap_module_params_on_conversion(swapping)
            packages[:] = before
            kernels._destroy()
