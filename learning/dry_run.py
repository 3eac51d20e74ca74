"""How much memory a run needs, counted before it starts, without a device."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from batches.loader import sizes_of
from jobs.progress import duration
from jobs.whole_files import first_line
from learning.build import resolve_precision
from learning.options import TrainOptions

GIB = 2**30
# what the first backward layers need beside the saved tensors, libraries, and the driver's context on a GPU
WORKSPACE = int(0.75 * GIB)
OPTIMIZER_BYTES = {"adamw": 8, "adamw8bit": 2}  # two numbers per trained one


@dataclass
class Memory:
    """Bytes by what they are for; `per_picture` counts for each of a micro-batch's, the others once."""

    parts: dict[str, int]
    per_picture: int

    def total(self, num_pictures: int) -> int:
        return sum(self.parts.values()) + num_pictures * self.per_picture

    def table(self, num_pictures: int) -> str:
        """A line per part, in GiB, and the sum."""
        rows = [*self.parts.items(), (f"activations of {num_pictures}", num_pictures * self.per_picture)]
        rows.append(("in all", self.total(num_pictures)))
        return "\n".join(f"  {name:<42}{size / GIB:6.2f} GiB" for name, size in rows)


def estimate(model, options: TrainOptions, size: tuple[int, int], num_tokens=77) -> Memory:
    """What training `model`, built with these options, on pictures of `size` (height, width) needs.

    Activations are what autograd saves for the backward pass, added up while the forward pass runs on tensors
    without content. Their attention is counted in fp32, which a GPU does not need.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    locked = sum(p.nbytes for p in model.parameters() if not p.requires_grad)
    mixed = resolve_precision(options.precision).endswith("-mixed")
    # the difference, as weights that appear transposed would be counted along
    one, two = (saved_bytes(model, options, size, num, num_tokens) for num in (1, 2))
    return Memory(
        {
            "locked weights": locked,
            "trained weights, fp32": 4 * trained,
            "their gradients": 4 * trained,
            f"state of {options.optimizer}": OPTIMIZER_BYTES[options.optimizer] * trained,
            **({"average of the trained weights": 4 * trained} if options.ema_decay else {}),
            **({"copies of them in 16 bit": 2 * trained} if mixed else {}),
            "workspace": WORKSPACE,
        },
        two - one,
    )


@contextmanager
def shortage_told(options: TrainOptions):
    """Around a run's training: makes a device's lack of memory an error that says what takes less."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the device is out of memory at batch_size={options.batch_size} ({first_line(error)}): lower "
            "batch_size and raise accumulate by the same factor; preset= says what fits, dry_run=true counts"
        ) from error


def saved_bytes(model, options, size, num_pictures, num_tokens) -> int:
    """Bytes of the distinct tensors that autograd keeps of one forward pass."""
    precision = resolve_precision(options.precision)
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    height, width = size
    kept = {}

    def pack(tensor):
        if isinstance(tensor, FakeTensor):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage  # held, so that no other storage gets its address
        return tensor

    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        width_of_context = model.control_model.transformer_options["context_dim"]
        x = torch.zeros(num_pictures, model.channels, height // 8, width // 8)
        hint = torch.zeros(num_pictures, model.control_model.hint_channels, height, width)
        context = torch.zeros(num_pictures, num_tokens, width_of_context)
        t = torch.zeros(num_pictures, dtype=torch.long)
        model.apply_model(x, t, dict(c_crossattn=[context], c_concat=[hint]))
    return sum(storage.nbytes() for storage in kept.values())


SECONDS = 5.0  # how long the loader is watched


def dry_run(model, data, dataset, options: TrainOptions, num_devices: int):
    """Print the memory it needs, the length of an epoch and the rate at which data arrive."""
    loader = data.loader(world=num_devices)
    per_step = options.batch_size * options.accumulate * num_devices
    steps = len(loader) // options.accumulate
    size = largest(sizes_of(dataset)) or dataset[0]["hint"].shape[:2]
    print(f"memory of a device, {size[0]} x {size[1]} pixels, {options.batch_size} pictures at a time:")
    print(estimate(model, options, size).table(options.batch_size))
    print(
        f"a step takes {per_step:,} pictures, an epoch {steps:,} steps; {options.max_steps:,} steps are "
        f"{options.max_steps * per_step:,} pictures, {options.max_steps / steps:.1f} epochs"
    )
    rate = loading_rate(loader, options.batch_size)
    print(
        f"data path: {rate:.0f} pictures/s with {options.num_workers} workers; "
        f"all of them take {duration(options.max_steps * per_step / num_devices / rate)} at that rate"
    )
    print("dry_run=true: stopped before training")


def largest(sizes):
    """The (height, width) of the largest area, None if none is known."""
    return max((size for size in sizes if size), key=lambda size: size[0] * size[1], default=None)


def loading_rate(loader, batch_size: int) -> float:
    """Pictures a second that a loader hands out, over a few seconds or its epoch, without the first batch."""
    batches, num = iter(loader), 0
    if len(loader) > 1:
        next(batches)
    start = time.monotonic()
    for _ in batches:
        num += 1
        if time.monotonic() - start > SECONDS:
            break
    return num * batch_size / max(1e-9, time.monotonic() - start)
