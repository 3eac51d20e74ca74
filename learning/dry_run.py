"""How much memory a run needs, counted before it starts, without a device."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from batches.loader import sizes_of
from cldm.parts_present import STAGES
from cldm.tryon.conditions import ControlHint, ImageTokens
from cldm.tryon.model import TryonLDM
from jobs.progress import duration
from jobs.whole_files import first_line
from learning.build import outline_model, resolve_precision
from learning.options import TrainOptions
from learning.resuming import spell

GIB = 2**30
# what the first backward layers need beside the saved tensors, libraries, and the driver's context on a GPU
WORKSPACE = int(0.75 * GIB)
# the counter knows attention on GPUs only; these are its own formulas for it
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop.__wrapped__,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop.__wrapped__,
}
# two numbers per trained one; of muon one, but for the few that are in no matrix
OPTIMIZER_BYTES = {"adamw": 8, "adamw8bit": 2, "muon": 4}


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


def estimate_memory(model, options: TrainOptions, size: tuple[int, int], num_tokens=77) -> Memory:
    """What training `model`, built with these options, on pictures of `size` (height, width) needs.

    Activations are what autograd saves for the backward pass, added up while the forward pass runs on tensors
    without content. Their attention is counted in fp32, which a GPU does not need. With recomputation that is
    what enters each block, and all that the largest block saves when its turn comes in the backward pass.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    stages = [getattr(model, name) for name in STAGES if getattr(model, name) is not None]
    encoders = sum(p.nbytes for stage in stages for p in stage.parameters())
    locked = sum(p.nbytes for p in model.parameters() if not p.requires_grad) - encoders
    mixed = resolve_precision(options.precision).endswith("-mixed")
    # the difference, as weights that appear transposed would be counted along
    one, two = (count_saved_bytes(model, options, size, num, num_tokens) for num in (1, 2))
    per_picture = two - one
    if options.recompute:
        one, two = (count_block_bytes(model, options, size, num, num_tokens) for num in (1, 2))
        per_picture += max(after - before for before, after in zip(one, two, strict=True))
    return Memory(
        {
            "locked weights": locked,
            **({"encoders, which a cache leaves out": encoders} if stages else {}),
            "trained weights, fp32": 4 * trained,
            "their gradients": 4 * trained,
            f"state of {options.optimizer}": OPTIMIZER_BYTES[options.optimizer] * trained,
            **({"average of the trained weights": 4 * trained} if options.ema_decay else {}),
            **({"copies of them in 16 bit": 2 * trained} if mixed else {}),
            "workspace": WORKSPACE,
        },
        per_picture,
    )


@contextmanager
def explain_shortage(options: TrainOptions):
    """Around a run's training: makes a device's lack of memory an error that says what takes less."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the device is out of memory at batch_size={options.batch_size} ({first_line(error)}): lower "
            "batch_size and raise accumulate by the same factor; preset= says what fits, dry_run=true counts"
        ) from error


def count_saved_bytes(model, options, size, num_pictures, num_tokens) -> int:
    """Bytes of the distinct tensors that autograd keeps of one forward pass."""
    kept = {}
    with _without_content(options), _watching(kept):
        _forward(model, size, num_pictures, num_tokens)
    return sum(storage.nbytes() for storage in kept.values())


def count_block_bytes(model, options, size, num_pictures, num_tokens) -> list[int]:
    """As saved_bytes, of each block that is recomputed in the backward pass: what it keeps meanwhile."""
    blocks, hooks = [], []
    for module in filter(is_recomputed, model.modules()):
        watching = []  # of the call that is under way

        def enter(module, given, watching=watching):
            blocks.append({})
            watching.append(_watching(blocks[-1]))
            watching[-1].__enter__()

        def leave(module, given, made, watching=watching):
            watching.pop().__exit__(None, None, None)

        hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with without_recompute(model), _without_content(options):
            _forward(model, size, num_pictures, num_tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return [sum(storage.nbytes() for storage in block.values()) for block in blocks]


def count_step_flops(model, options, size, num_tokens=77) -> int:
    """Floating-point operations of a step, forward and backward, for each picture; without recomputation."""
    trained = [p for p in model.parameters() if p.requires_grad]
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    with without_recompute(model), _without_content(options), counter:
        output = _forward(model, size, 1, num_tokens)
        torch.autograd.grad(output.float().square().mean(), trained, allow_unused=True)
    return counter.get_total_flops()


def is_recomputed(module) -> bool:
    """Whether a module has a body that it can recompute, rather than a setting that it hands on."""
    return hasattr(module, "use_checkpoint") and hasattr(module, "_forward")


@contextmanager
def without_recompute(model):
    former = {module: module.use_checkpoint for module in filter(is_recomputed, model.modules())}
    try:
        for module in former:
            module.use_checkpoint = False
        yield
    finally:
        for module, use_checkpoint in former.items():
            module.use_checkpoint = use_checkpoint


@contextmanager
def _without_content(options):
    """New tensors take no memory, and networks compute in the run's precision."""
    precision = resolve_precision(options.precision)
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    mixed = torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None)
    with FakeTensorMode(allow_non_fake_inputs=True), mixed:
        yield


def _watching(kept: dict):
    """Collects into `kept` the storages of what autograd saves."""

    def pack(tensor):
        if isinstance(tensor, FakeTensor):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage  # held, so that no other storage gets its address
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


def _forward(model, size, num_pictures, num_tokens):
    """The output of a model for so many pictures of `size` (height, width), in a mode without content."""
    height, width = size
    if isinstance(model, TryonLDM):
        return model.shared_step(blank_fittings(model, num_pictures, size, num_tokens))[0]
    x = torch.zeros(num_pictures, model.channels, height // 8, width // 8)
    hint = torch.zeros(num_pictures, model.control_model.hint_channels, height, width)
    context = torch.zeros(num_pictures, num_tokens, model.control_model.transformer_options["context_dim"])
    t = torch.zeros(num_pictures, dtype=torch.long)
    return model.apply_model(x, t, dict(c_crossattn=[context], c_concat=[hint]))


def blank_fittings(model, num: int, size, num_tokens: int) -> dict:
    """A batch of `num` blank fittings of `size` (H, W) for a recipe, encoded before where they can be."""
    height, width = size
    latents = 2 * model.channels, height // 8, width // 8
    context_dim = model.model.diffusion_model.transformer_options["context_dim"]
    pictures, masks = torch.zeros(num, *size, 3), torch.ones(num, *size, 1)
    moments, context = torch.zeros(num, *latents), torch.zeros(num, num_tokens, context_dim)
    batch = dict(moments=moments, context=context, empty_context=context, txt=[""] * num)
    batch |= dict(mask=masks, garment_mask=masks, garment_pixels=pictures.to(torch.uint8))
    batch |= dict(category_id=torch.zeros(num, dtype=torch.long))
    batch |= {model.first_stage_key: pictures, model.worn_key: masks[..., 0]}
    for name, condition in model.conditions.items():
        batch |= {f"{key}_moments": moments for key in condition.moments_of} | {f"{name}_context": context}
        batch |= {key: pictures for key in condition.keys if key not in batch}
        if isinstance(condition, ImageTokens):
            null = condition.encoder(batch["garment_pixels"][:1])
            batch |= {f"{name}_null": null, f"{name}_features": null.expand(num, *null.shape[1:])}
        if isinstance(condition, ControlHint):
            batch |= {f"{name}_hint": torch.zeros(num, *size, condition.branch.hint_channels)}
    return batch


KEPT_FREE = 2 * GIB  # of a card, for other sizes and for what else is on it


def find_card(options: TrainOptions) -> int | None:
    """Bytes of the card that `preset` names, else of the first one here; None without either."""
    if options.preset:
        return int(options.preset.removesuffix("gb")) * GIB
    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None


def describe_fit(model, memory: Memory, options: TrainOptions, card: int, size, without=()) -> str:
    """Whether a run fits a card of so many bytes; if not, which options would make it fit, a line each.

    `memory` is the run's with `options`; `without` are the stages that its data do without.
    """
    free = card - memory.total(options.batch_size)
    if free >= KEPT_FREE:
        return f"it fits {card / GIB:.0f} GiB: {free / GIB:.1f} GiB stay free"
    rows = []
    for changes in list_ways(model, options):
        changed = replace(options, **changes)
        if changes:
            memory = estimate_memory(outline_model(changed, without), changed, size)
        num = count_fitting(memory, card, options.batch_size)
        if num:
            words = [spell(name, value).lower() for name, value in changes.items()]
            rows.append(f"  {' '.join([*words, f'batch_size={num}'])}: {memory.total(num) / GIB:.1f} GiB")
    would = "what would:" if rows else "neither recomputation nor 8-bit Adam would change that"
    kept = f"of which {KEPT_FREE / GIB:.0f} should stay free"
    return "\n".join([f"it does not fit {card / GIB:.0f} GiB, {kept}; {would}", *rows])


def list_ways(model, options: TrainOptions) -> list[dict]:
    """Changes of options by which a run needs less memory, first those that leave it what it is."""
    ways = [{}, dict(recompute=True), dict(recompute=True, optimizer="adamw8bit")]
    if isinstance(model, TryonLDM) and (parts := model.attention_alone()):
        ways += [dict(train=options.train | parts), dict(train=options.train | parts, recompute=True)]
    given = {name: getattr(options, name) for way in ways for name in way}
    changes = [{name: value for name, value in way.items() if given[name] != value} for way in ways]
    return [way for place, way in enumerate(changes) if way not in changes[:place]]


def count_fitting(memory: Memory, card: int, most: int) -> int:
    """How many pictures at a time fit a card of so many bytes: `most`, or the next lower power of 2, or 0."""
    numbers = [most, *(2**power for power in reversed(range(most.bit_length())) if 2**power < most)]
    return next((num for num in numbers if memory.total(num) <= card - KEPT_FREE), 0)


SECONDS = 5.0  # how long the loader is watched


def dry_run(model, data, dataset, options: TrainOptions, num_devices: int):
    """Print the memory it needs, the length of an epoch and the rate at which data arrive."""
    loader = data.loader(world=num_devices)
    per_step = options.batch_size * options.accumulate * num_devices
    steps = len(loader) // options.accumulate
    size = find_largest(sizes_of(dataset)) or dataset[0]["jpg"].shape[:2]
    print(f"memory of a device, {size[0]} x {size[1]} pixels, {options.batch_size} pictures at a time:")
    memory = estimate_memory(model, options, size)
    print(memory.table(options.batch_size))
    if card := find_card(options):
        print(describe_fit(model, memory, options, card, size, getattr(dataset, "replaces", ())))
    print(
        f"a step takes {per_step:,} pictures, an epoch {steps:,} steps; {options.max_steps:,} steps are "
        f"{options.max_steps * per_step:,} pictures, {options.max_steps / steps:.1f} epochs"
    )
    rate = measure_loading_rate(loader, options.batch_size)
    print(
        f"data path: {rate:.0f} pictures/s with {options.workers} workers; "
        f"all of them take {duration(options.max_steps * per_step / num_devices / rate)} at that rate"
    )
    if not torch.accelerator.is_available():
        flops = options.max_steps * per_step * count_step_flops(model, options, size)
        print(describe_time_on_cpu(flops / measure_matrix_rate()))
    print("dry_run=true: stopped before training")


LONG = 2 * 24 * 3600  # seconds


def describe_time_on_cpu(seconds: float) -> str:
    """What a run takes without a GPU, and a warning where nobody would wait for it."""
    weeks = seconds / (7 * 24 * 3600)
    long = f"{weeks:.0f} weeks" if weeks >= 2 else f"{seconds / (24 * 3600):.0f} days"
    if seconds < LONG:
        return f"computing: {duration(seconds)} at least on this processor; no GPU was found"
    return f"warning: no GPU was found, and on this processor the run would take {long} at least"


def measure_matrix_rate(side: int = 1024, seconds: float = 0.3) -> float:
    """FLOP/s of this processor's products of matrices, which no training step exceeds."""
    a, b, num = torch.randn(side, side), torch.randn(side, side), 0
    a @ b  # the first takes time of its own
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        a @ b
        num += 1
    return num * 2 * side**3 / (time.monotonic() - start)


def find_largest(sizes):
    """The (height, width) of the largest area, None if none is known."""
    return max((size for size in sizes if size), key=lambda size: size[0] * size[1], default=None)


def measure_loading_rate(loader, batch_size: int) -> float:
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
