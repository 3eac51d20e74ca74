"""What learning.py runs in processes of its own each: the cache, a training run, a measurement."""

import csv
import json
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from train_ways import TrainingStep

from annotator.segment import PixelSegmenter
from batches.augment import FlippedItems
from batches.cache.build import build_cache
from batches.cache.items import CachedItems
from batches.loader import SeededBatches, TrainingData, collate, sizes_of
from cldm.model import load_model, load_state_dict
from cldm.parts_present import STAGES
from cldm.weights.graft import CONTROL
from diffusers_names import to_diffusers_unet
from evaluation.control_miou import measure_control, stack_pictures
from generation.generate import Settings
from ldm.checkpoint import write_state_dict
from ldm.modules.diffusionmodules.util import row_generators
from learning.build import build_model, make_trainer
from learning.callbacks.gradients import Gradients
from learning.options import parse_options
from pictures.hint import HintEncoder
from tutorial_dataset import MyDataset


class Stopwatch:
    """Seconds and CPU seconds of training alone, and the branch's weights every `every` steps, in `folder`.

    `state` gives those weights in this project's names. Writing them is not counted.
    """

    def __init__(self, folder, every, num_steps, state):
        self.folder, self.every, self.num_steps, self.state = folder, every, num_steps, state
        self.seconds = self.cpu = 0.0
        self.times, self.losses = [], []
        self.go_on()

    def go_on(self):
        self.started = time.perf_counter(), time.process_time()

    def step_done(self, loss):
        step = len(self.losses) + 1
        now = time.perf_counter(), time.process_time()
        self.seconds += now[0] - self.started[0]
        self.cpu += now[1] - self.started[1]
        self.losses.append(loss)
        if step % self.every == 0 or step == self.num_steps:
            write_state_dict(self.state(), self.folder / f"step_{step:06}.safetensors")
            self.times.append(dict(step=step, seconds=self.seconds, cpu=self.cpu))
        if step == self.num_steps:
            (self.folder / "times.json").write_text(json.dumps(dict(times=self.times, losses=self.losses)))
        self.go_on()


class Watched(pl.Callback):
    def __init__(self, *arguments):
        self.arguments = arguments

    def on_train_start(self, trainer, pl_module):
        self.watch = Stopwatch(*self.arguments, lambda: of_control(pl_module.control_model.state_dict()))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.watch.step_done(float(outputs["loss"]))


def of_control(state):
    return {CONTROL + name: tensor for name, tensor in state.items()}


def train_ours(options, dataset, folder, every):
    """As learning.train does from a cache: this project's model, data, loop and clipping."""
    pl.seed_everything(options.seed, verbose=False)
    model = build_model(options, without=STAGES)
    data = TrainingData(CachedItems(dataset, options.base, options.model), options.batch_size, options.seed)
    callbacks = [Gradients(options), Watched(folder, every, options.max_steps)]
    make_trainer(options, callbacks).fit(model, data)


def train_diffusers(options, dataset, folder, every):
    """The loop of diffusers' script over the same batches in the same order."""
    step = TrainingStep("diffusers", options, "cpu")
    ours = load_model(options.model, options.base, without=STAGES).control_model
    num_res_blocks = ours.num_res_blocks
    names = to_diffusers_unet({name: name for name in ours.state_dict()}, num_res_blocks)
    branch = step.model.controlnet

    def state():
        return of_control({names[name]: tensor for name, tensor in branch.state_dict().items()})

    batches = SeededBatches(sizes_of(dataset), options.batch_size, options.seed)
    loader = DataLoader(FlippedItems(dataset), batch_sampler=batches, collate_fn=collate)
    watch = Stopwatch(folder, every, options.max_steps, state)
    while len(watch.losses) < options.max_steps:
        for batch in loader:
            generators = row_generators(batch)
            watch.step_done(step(step.model.drop_prompts(batch, generators), generators))
            if len(watch.losses) == options.max_steps:
                break
        batches.set_epoch(batches.epoch + 1)


def measure(options, folder, num_maps):
    """Control mIoU of every snapshot in a run's folder, on the same maps and seeds, by the same judge."""
    model = load_model(options.model, options.base)
    model.cast_locked(torch.float32)
    judge = PixelSegmenter.load(options.segmenter).segment
    encoder = HintEncoder.from_file(Path(options.data, "regions.yaml"))
    held_out = MyDataset(options.data, "val")
    items = [held_out[i] for i in range(min(num_maps, len(held_out)))]
    maps = stack_pictures(encoder.to_ids((item["hint"] * 255).round()) for item in items)
    prompts = [item["txt"] for item in items]
    settings = Settings(steps=options.sampling_steps, scale=options.guidance, sampler="dpmpp_2m", seed=1000)
    rows = []
    for row in json.loads((folder / "times.json").read_text())["times"]:
        model.load_state_dict(load_state_dict(folder / f"step_{row['step']:06}.safetensors"), strict=False)
        score = measure_control(model, maps, prompts, encoder, judge, settings)
        rows.append(row | dict(miou=score.miou))
        print(f"{folder.name} step {row['step']}: control mIoU {score.miou:.3f}", flush=True)
    with open(folder / "curve.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def child(task, folder, settings):
    """One of learning.py's tasks: `cache`, `measure`, or the run of a side."""
    torch.set_num_threads(settings["threads"])
    folder, data = Path(folder), Path(settings["data"])
    overrides = [f"{name}={value}" for name, value in settings["options"].items()]
    options = parse_options(["models/train_tiny.yaml"], [*overrides, f"data={data}"])
    if task == "cache":
        start = time.perf_counter(), time.process_time()
        build_cache(MyDataset(data, "train"), options.base, options.model)
        spent = time.perf_counter() - start[0], time.process_time() - start[1]
        (folder / "cache.json").write_text(json.dumps(dict(zip(("seconds", "cpu"), spent, strict=True))))
    elif task == "measure":
        measure(options, folder, settings["maps"])
    else:
        run = dict(ours=train_ours, diffusers=train_diffusers)[task]
        run(options, MyDataset(data, "train"), folder, settings["every"])
