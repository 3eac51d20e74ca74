"""Validation loss on held-out pictures: the same noise and timesteps every time, with and without control."""

import numpy as np
import torch
from torch.utils.data import default_collate

from batches.loader import check_sizes
from cldm.model import CONTROL
from evaluation.control_miou import group_by_size
from jobs.ranks import from_all, part_of
from learning.callbacks.measurement import Measurement, measuring

NUM_BANDS, MOST_AT_ONCE = 4, 8  # equal bands of timesteps; pictures at a time, if training takes as many


class ValidationLoss(Measurement):
    """Writes validation.csv: the loss in each band of timesteps with the map and without it, and the gap.

    Of try-on also the loss inside and outside of the mask, with the garment and without it, over all bands.

    `gap` is the mean loss without control less that with it: 0 as long as the map is ignored. Unlike the loss
    of training, where most of what moves is the drawn timesteps, these numbers can be compared between steps
    and runs. Pictures and prompts are encoded once, at the start. Without control, a try-on model goes
    without what its guidance drops, the garment.
    """

    table, at_start = "validation.csv", True

    def __init__(self, held_out, options):
        super().__init__(options)
        self.held_out, self.without = held_out, None
        self.batch_size = min(MOST_AT_ONCE, options.batch_size)

    def prepare(self, trainer, pl_module):
        total, last = min(self.options.measure_maps, len(self.held_out)), pl_module.num_timesteps
        edges = [last * band // NUM_BANDS for band in range(NUM_BANDS + 1)]
        self.bands = list(zip(edges, edges[1:], strict=False))
        items = [self.held_out[i] for i in part_of(range(total))]
        with pl_module.stages_present(), measuring(trainer, pl_module):
            self.items = [encode_item(pl_module, item) for item in items]
        for item, i in zip(self.items, part_of(range(total)), strict=True):
            # spread over the band, so that few pictures cover it evenly
            item["t"] = [low + (2 * i + 1) * (high - low) // (2 * total) for low, high in self.bands]
            item["seed"] = 2000 + i

    def measure(self, trainer, pl_module):
        with measuring(trainer, pl_module):
            control = self._losses(pl_module)
            # a branch that nobody hears may train; all else that does is heard without the condition, too
            trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
            if self.without is None or not all(name.startswith(CONTROL) for name in trained):
                self.without = self._losses(pl_module, control=False)
        losses, without = control.pop("loss"), self.without["loss"]
        row = dict(loss=losses.mean(), gap=without.mean() - losses.mean())
        for (low, high), a, b in zip(self.bands, losses, without, strict=True):
            row |= {f"loss_{low}_{high - 1}": a, f"without_{low}_{high - 1}": b}
        for name, values in control.items():
            row |= {name: values.mean(), f"{name}_without": self.without[name].mean()}
        return {name: f"{value:.6f}" for name, value in row.items()}

    def _losses(self, model, control=True) -> dict:
        """The mean losses (bands,) by name over all held-out items, of all processes."""
        sums = {}
        for group in group_by_size([item["encoded"]["latent"] for item in self.items]):
            for part in (group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)):
                found = self._chunk(model, [self.items[i] for i in part], control)
                for name in found[0]:
                    losses = len(part) * np.array([band[name] for band in found])
                    sums[name] = sums.get(name, 0) + losses
        totals = from_all((sums, len(self.items)))
        num = sum(items for _, items in totals)
        names = dict.fromkeys(name for part, _ in totals for name in part)
        return {name: sum(part.get(name, 0) for part, _ in totals) / num for name in names}

    def _chunk(self, model, items, control) -> list[dict[str, float]]:
        """The losses by name of some items of one size in each band."""
        encoded, losses = join_rows([item["encoded"] for item in items], model.device), []
        for band in range(NUM_BANDS):
            generators = [torch.Generator().manual_seed(item["seed"] + 10_000 * band) for item in items]
            t = torch.tensor([item["t"][band] for item in items], device=model.device)
            losses.append(model.held_out_losses(encoded, t, generators, control))
        return losses


def encode_item(model, item) -> dict:
    """A held-out item as the model's `encode_held_out` gives it, one row on the CPU, under "encoded"."""
    check_sizes([item], model.size_multiple)
    return dict(encoded=join_rows([model.encode_held_out(default_collate([item]))], "cpu"))


def join_rows(parts, device):
    """Tensors of several items in dicts of one shape, or such dicts in dicts -> the same of all rows."""
    if isinstance(parts[0], dict):
        return {key: join_rows([part[key] for part in parts], device) for key in parts[0]}
    return torch.cat(parts).to(device)
