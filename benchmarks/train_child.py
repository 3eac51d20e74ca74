"""What bench_train.py runs in a process of its own: the inputs, the matrix rate, or some steps of one way."""

import ctypes
import gc
import re
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from train_ways import TrainingStep

from batches.cache.encoders import load_encoders
from cldm.model import create_model
from golden.weights import uniform, weight
from ldm.checkpoint import write_state_dict
from learning.dry_run import CPU_ATTENTION
from learning.options import TrainOptions

GIB = 2**30


def prepare(yaml, folder, size, num, device="cpu"):
    """base.safetensors, random weights of unit gain for every tensor, and `num` pictures, encoded."""
    with torch.device("meta"):
        wanted = create_model(yaml).state_dict()
    base = folder / "base.safetensors"
    write_state_dict({k: weight(k, v.shape) if v.is_meta else v for k, v in wanted.items()}, base)
    encoders = load_encoders(base, yaml)[0].float().to(device)
    images = uniform("images", num, size, size, 3) * 2 - 1
    inputs = dict(jpg=images, hint=uniform("hints", num, size, size, 3))
    with torch.no_grad():
        encode = encoders["first_stage_model"].encode
        rows = [encode(image[None].movedim(-1, 1).to(device)).parameters for image in images]
        inputs["moments"] = torch.cat(rows)
        inputs["context"] = encoders["cond_stage_model"](prompts(num))
        inputs["empty_context"] = encoders["cond_stage_model"]([""] * num)
    save_file(
        {name: tensor.cpu().contiguous() for name, tensor in inputs.items()}, folder / "inputs.safetensors"
    )


def prompts(num):
    return [f"a person in a red top and a blue skirt, number {i}" for i in range(num)]


def batches(folder, way, batch_size):
    """An endless row of batches: moments and contexts for the cached way, pictures for the others."""
    inputs = load_file(folder / "inputs.safetensors")
    left_out = ("jpg",) if way == "ours, cached" else ("moments", "context", "empty_context")
    inputs = {name: tensor for name, tensor in inputs.items() if name not in left_out}
    num, first = len(inputs["hint"]), 0
    while True:
        chosen = [(first + i) % num for i in range(batch_size)]
        batch = {name: tensor[chosen] for name, tensor in inputs.items()}
        yield {**batch, "txt": [prompts(num)[i] for i in chosen]}
        first += batch_size


def matrix_rate(dtype, device, size):
    """FLOP/s of the product of two square matrices: what counts as this device's peak."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for seconds in (0.3, 2.0):  # the first is for warming up
        start, num = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            for _ in range(4):
                a @ b
            num += 4
            synchronise(device)
        rate = num * 2 * size**3 / (time.perf_counter() - start)
    return rate


def synchronise(device):
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()


def measure(way, yaml, folder, precision, batch_size, num_steps, device):
    """Build a way; take a first step to warm up and count in, `num_steps` timed ones, and one in phases."""
    options = TrainOptions(model=yaml, base=str(folder / "base.safetensors"), precision=precision)
    options.prompt_dropout = 0.0
    step = TrainingStep(way, options, device)
    for tensor in [*step.model.parameters(), *step.model.buffers()]:
        tensor.data = tensor.data.clone()  # out of the mapped file, so that the peak counts every weight
    data, losses, times = batches(folder, way, batch_size), [], []
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        losses.append(step(next(data), random(0, device)))
    reset_peak(device)  # counting takes memory of its own
    for i in range(1, num_steps + 1):
        batch, clock = next(data), Clock(device)
        losses.append(step(batch, random(i, device)))
        clock.lap("step")
        times.append(dict(wall=clock.wall["step"], cpu=clock.cpu["step"]))
    clock = Clock(device)  # apart, as to wait for the device between phases costs time
    step(next(data), random(num_steps + 1, device), clock.lap)
    return dict(losses=losses, steps=times, phases=clock.wall, flops=counter.get_total_flops()) | peak(device)


class Clock:
    """Seconds and CPU seconds between laps, by their names."""

    def __init__(self, device):
        self.device, self.wall, self.cpu = device, {}, {}
        self._read()

    def _read(self):
        synchronise(self.device)
        self.last = time.perf_counter(), time.process_time()

    def lap(self, name):
        before = self.last
        self._read()
        self.wall[name], self.cpu[name] = (now - then for now, then in zip(self.last, before, strict=True))


def random(seed, device):
    return torch.Generator(device).manual_seed(seed)


def reset_peak(device):
    gc.collect()  # what building has left holds the mapped file
    if torch.device(device).type != "cpu":
        torch.accelerator.reset_peak_memory_stats()
    elif Path("/proc/self/clear_refs").exists():
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak(device):
    """Peak memory since `reset_peak` in GiB; on a CPU (of Linux) resident, and that without mapped files."""
    if torch.device(device).type != "cpu":
        return dict(peak=torch.accelerator.max_memory_allocated() / GIB)
    status = Path("/proc/self/status")
    if not status.exists():
        return dict(peak=float("nan"), own=float("nan"))
    sizes = {k: int(v) / 2**20 for k, v in re.findall(r"(\w+):\s+(\d+) kB", status.read_text())}
    return dict(peak=sizes["VmHWM"], own=sizes["VmHWM"] - sizes["RssFile"])


def child(task, folder, settings):
    """One of bench_train.py's tasks under its settings; the result can be written as JSON."""
    torch.set_num_threads(settings["threads"])
    device, precision = settings["device"], settings["precision"]
    on_cpu = torch.device(device).type == "cpu"
    if task == "prepare":
        return prepare(settings["yaml"], folder, settings["size"], settings["pictures"], device)
    if task == "peak":
        dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
        return matrix_rate(dtype, device, 1024 if on_cpu else 8192)
    try:
        return measure(
            task, settings["yaml"], folder, precision, settings["batch_size"], settings["steps"], device
        )
    except torch.OutOfMemoryError:
        return None
