"""What a run would be, before it costs anything: `dry_run=true`."""

import time

from cldm.data import sizes_of
from cldm.options import TrainOptions
from cldm.status import duration
from cldm.training.memory import estimate

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
