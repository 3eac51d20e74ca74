"""What fits on a card of so much memory, for Stable Diffusion 1.5 and 2.1 at 512 x 512 pixels."""

import math
from dataclasses import replace

from cldm.options import TrainOptions

# By cldm/training/memory.py, from a cache; docs/expect.md has the arithmetic. About 2 GiB stay free
# for other sizes and for what else is on the card.
PRESETS = {
    "12gb": dict(precision="bf16-mixed", recompute=True, optimizer="adamw", batch_size=4),
    "16gb": dict(precision="bf16-mixed", recompute=False, optimizer="adamw", batch_size=4),
    "24gb": dict(precision="bf16-mixed", recompute=False, optimizer="adamw", batch_size=8),
    "40gb": dict(precision="bf16-mixed", recompute=False, optimizer="adamw", batch_size=16),
    "80gb": dict(precision="bf16-mixed", recompute=False, optimizer="adamw", batch_size=32),
}
EFFECTIVE_BATCH = 32


def options_of(preset: str) -> dict:
    """The options that a preset sets, none for the empty one."""
    if not preset:
        return {}
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, or empty, got {str(preset)!r}")
    return PRESETS[preset] | dict(effective_batch=EFFECTIVE_BATCH)


def with_accumulation(options: TrainOptions, num_devices: int) -> TrainOptions:
    """The options with `accumulate` such that a step takes at least `effective_batch` pictures, if set."""
    if not options.effective_batch:
        return options
    per_micro_batch = options.batch_size * num_devices
    return replace(options, accumulate=math.ceil(options.effective_batch / per_micro_batch))
