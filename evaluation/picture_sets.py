"""Pictures of held-out maps, in a folder of what they depend on; what is there is not drawn again."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cldm.controls import Control
from cldm.weights.load import Loaded
from generation.generate import Settings, sample
from jobs.whole_files import write_atomically
from reporting.strips import png

CONTROL = "control_model."
# between the seeds of an item's pictures, so that they depend neither on how many items nor seeds are asked
STRIDE = 2**20


@dataclass(frozen=True)
class PictureSet:
    """The pictures of one model: `num_seeds` of each held-out item, named by its key."""

    folder: Path
    num_seeds: int

    def path(self, key, seed) -> Path:
        return self.folder / f"{key}_seed{seed}.png"

    def pictures(self, key):
        """The pictures uint8 (num_seeds, H, W, 3) of an item."""
        return np.stack([read_png(self.path(key, seed)) for seed in range(self.num_seeds)])


def make_picture_set(out, kind, facts, num_seeds) -> PictureSet:
    """The folder of pictures that depend on these facts alone; `kind` begins its name."""
    text = json.dumps(facts, indent=1, sort_keys=True)
    folder = Path(out) / "pictures" / f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "facts.json", text.encode())
    return PictureSet(folder, num_seeds)


def digest_tensors(model, path) -> str:
    """Identifies all weights of a model but the control branch's; ValueError where any is no number."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"{path}: weights of {name} are no numbers (nan or inf): its training has diverged, take an "
                "earlier checkpoint"
            )
        if not name.startswith(CONTROL):
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()[:16]


def count_missing(held_out, pictures: PictureSet) -> int:
    """How many pictures are still to be drawn."""
    return sum(not pictures.path(key, s).exists() for key in held_out.keys for s in range(pictures.num_seeds))


def draw_set(loaded: Loaded, held_out, pictures: PictureSet, controlled: bool, settings, batch_size, report):
    """Draw what a set lacks, with or without control, see `fill_set`."""

    def draw(part, seed):
        return draw_items(loaded, held_out, part, seed, controlled, settings)

    fill_set(held_out, pictures, batch_size, report, draw)


def fill_set(held_out, pictures: PictureSet, batch_size, report, draw):
    """Draw what a set lacks, calling `report(number)` after each batch.

    A batch of which one is missing is drawn as a whole, to the bit as by a run that nobody stopped.

    Args:
        draw: (places among the held-out items, number of the repeat) -> pictures uint8 (n, H, W, 3).
    """
    for seed in range(pictures.num_seeds):
        for part in held_out.chunks(batch_size):
            paths = [pictures.path(held_out.keys[i], seed) for i in part]
            lacking = [path for path in paths if not path.exists()]
            if not lacking:
                continue
            try:
                drawn = draw(part, seed)
            except torch.OutOfMemoryError as error:
                raise ValueError("Out of memory: a smaller --batch-size takes less") from error
            for path, picture in zip(paths, drawn, strict=True):
                if path in lacking:
                    write_atomically(path, png(picture))
            report(len(lacking))


def draw_items(loaded, held_out, part, seed, controlled, settings: Settings):
    """Pictures uint8 (n, H, W, 3) of the items at the places `part`."""
    items = [held_out[i] for i in part]
    seeds = [settings.seed + STRIDE * seed + held_out.places[i] for i in part]
    controls = None
    if controlled:
        controls = [Control(held_out.hint(items, loaded.encoder or held_out.regions))]
    prompts, size = [item.prompt for item in items], held_out.sizes[part[0]]
    return sample(loaded.model, controls, prompts, settings, size, seeds=seeds)


def read_png(path):
    """A picture uint8 (H, W, 3) that was drawn before."""
    from PIL import Image

    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is damaged: delete it, and the same command draws it again") from error
