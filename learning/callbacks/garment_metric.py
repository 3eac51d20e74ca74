"""Is the garment obeyed? Garment fidelity of held-out paper dolls while a run trains."""

import json
from pathlib import Path

import numpy as np
import torch

from evaluation.fittings import roll_garments, with_pairs
from evaluation.garment_fidelity import ATTRIBUTES, GARMENTS, summarize, tell_apart
from evaluation.redrawing import PHOTOGRAPHS, Redrawing, is_drawn
from generation.fitting import FittingSettings, put_on, reconstruct
from jobs.ranks import gathered, part_of, say
from jobs.whole_files import write_atomically
from learning.callbacks.measurement import Measurement, measuring, save_samples
from reporting.contact_sheets import evenly
from reporting.strips import HELD_OUT, SHOWN, save_strip

COLUMNS = {GARMENTS: "garment_at_16", "detail": "detail", "ΔE": "delta_e", "PSNR in mask": "mask_psnr"}
COLUMNS |= {f"{name} told": name.replace(" ", "_") for name in ATTRIBUTES}
COMPARED = GARMENTS, "detail", "ΔE"  # what floor, rolled and ceiling are written of


def watch_garments(held_out, options) -> list["GarmentMetric"]:
    """The measurement of held-out items; none, and a line that says why, where there can be none."""
    if not is_drawn(getattr(held_out, "pairs", [({}, {})])):
        say(PHOTOGRAPHS.format(options.data))
        return []
    try:
        return [GarmentMetric(held_out, options)]
    except ValueError as error:
        say(f"{options.data}: garment fidelity is not measured: {error}")
        return []


class GarmentMetric(Measurement):
    """Writes garment_fidelity.csv, and the pictures behind it into samples/, for the report.

    Each doll tries on the next one's garment, by the sampler and the guidance that the checkpoint draws with.
    Beside it stand the same dolls without garment (floor), and in the garment after the next, of which is
    asked whether it is the next (rolled); and, measured once, the truth through the autoencoder (ceiling).
    The processes share the drawing.
    """

    table = "garment_fidelity.csv"

    def __init__(self, held_out, options):
        super().__init__(options)
        asked = roll_garments(held_out.pairs)
        rolled, chosen = roll_garments(asked), evenly(range(len(asked)), options.measure_maps)
        self.asked, self.rolled = (with_pairs(held_out, [p[i] for i in chosen]) for p in (asked, rolled))
        self.redrawing, self.places = Redrawing(self.asked), range(len(chosen))
        # of no more pictures than the run trains on at a time, so that drawing fits where training does
        self.batch_size, self.folder = options.batch_size, Path(options.run, "samples")

    def prepare(self, trainer, pl_module):
        mine = part_of(self.places)
        self.redrawing.draw(mine, max(1, self.options.workers))
        with measuring(trainer, pl_module), pl_module.stages_present():
            drawn = [reconstruct(pl_module, self.redrawing[place].truth[None])[0] for place in mine]
        self.ceiling = self._tell(drawn)
        if trainer.is_global_zero:
            self._save_given()
            say(f"garment fidelity of {len(self.places)} dolls: ceiling {describe(self.ceiling)}")

    def measure(self, trainer, pl_module):
        none, step = pl_module.guidance_without_garment(), trainer.global_step
        with measuring(trainer, pl_module), pl_module.stages_present():
            drawn = {
                "": self._draw(pl_module, self.asked),
                "rolled": self._draw(pl_module, self.rolled),
                "floor": self._draw(pl_module, self.asked, none),
            }
        found = {name: self._tell(pictures) for name, pictures in drawn.items()} | dict(ceiling=self.ceiling)
        shown = {name: gathered(pictures)[:SHOWN] for name, pictures in drawn.items()}
        if not trainer.is_global_zero:
            return {}
        save_samples(trainer, self.folder, shown.pop(""))
        for name, pictures in shown.items():
            save_strip(self.folder / f"{name}.png", pictures)
        own = found.pop("")
        beside = ", ".join(f"{name} {numbers[GARMENTS]:.2f}" for name, numbers in found.items())
        say(f"step {step}: {describe(own)}; {GARMENTS} of {beside}")
        measured = dict(garment_at_16=own[GARMENTS], garment_detail=own["detail"])
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in measured.items()})
        row = {column: own[name] for name, column in COLUMNS.items()}
        for what, numbers in found.items():
            row |= {f"{what}_{COLUMNS[name]}": numbers[name] for name in COMPARED}
        return {name: f"{value:.4f}" for name, value in row.items()}

    def _draw(self, model, dataset, guidance=None) -> list:
        """This process's share of the pictures."""
        settings = FittingSettings(steps=self.options.sampling_steps, guidance=guidance)
        mine, drawn = part_of(self.places), []
        for part in (mine[i : i + self.batch_size] for i in range(0, len(mine), self.batch_size)):
            items, seeds = [dataset[place] for place in part], [1000 + place for place in part]
            drawn += list(put_on(model, items, seeds, settings))
        return drawn

    def _tell(self, pictures) -> dict[str, float]:
        """The numbers of all pictures, of which these are this process's share; for all processes."""
        rows = []
        for place, picture in zip(part_of(self.places), pictures, strict=True):
            mask = self.asked[place]["mask"][..., 0] > 0.5
            rows.append(tell_apart(picture, self.redrawing[place], mask))
        return summarize(gathered(rows))

    def _save_given(self):
        """What was asked for, beside the pictures of the steps."""
        items = [self.asked[place] for place in self.places[:SHOWN]]
        for key in ("agnostic", "garment"):
            save_strip(self.folder / f"{key}.png", [to_pixels(item[key]) for item in items])
        save_strip(self.folder / "truth.png", [self.redrawing[place].truth for place in self.places[:SHOWN]])
        told = dict(
            fittings=[item["name"] for item in items], sizes=[item["jpg"].shape[:2] for item in items]
        )
        told |= dict(garments=[item["garment"].shape[:2] for item in items])
        write_atomically(self.folder / HELD_OUT, json.dumps(told, indent=1).encode())


def to_pixels(picture):
    """A picture float32 (H, W, 3) in [-1, 1] -> uint8."""
    return ((picture + 1) * 127.5).round().astype(np.uint8)


def describe(numbers: dict[str, float]) -> str:
    """The main numbers in words."""
    return f"{GARMENTS} {numbers[GARMENTS]:.2f}, detail {numbers['detail']:.2f}, ΔE {numbers['ΔE']:.1f}"
