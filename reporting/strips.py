"""Pictures of a run as strips: side by side in one PNG per step, and back, and stacked under titles."""

import io
import json
import re
from pathlib import Path

import numpy as np

from jobs.whole_files import write_atomically

SHOWN = 8  # pictures of a strip that a page shows
HELD_OUT = "held_out.json"
OWN_SAMPLES, OWN_GIVEN = "own_samples", "given.json"  # a folder of a run, and what was given, in it


def save_held_out(folder, encoder, maps, prompts, real, floor):
    """Write what a report needs besides the samples of the steps: maps.png, real.png, floor.png and a json.

    Args:
        maps, real, floor: region ids (H, W), photos and pictures without control (H, W, 3) of n items.
    """
    save_strip(folder / "maps.png", [encoder.to_rgb(ids) for ids in maps])
    save_strip(folder / "real.png", real)
    save_strip(folder / "floor.png", floor)
    told = dict(prompts=prompts, sizes=[ids.shape for ids in maps], regions=encoder.metadata())
    write_atomically(folder / HELD_OUT, json.dumps(told, indent=1).encode())


def forget_pictures_after(run, step):
    """Delete a run's samples and logged pictures beyond a step: they will be made again."""
    for pattern in ("samples/step_*.png", f"{OWN_SAMPLES}/step_*.png", "image_log/train/*_gs-*.png"):
        for path in Path(run).glob(pattern):
            found = re.search(r"(?:^step|_gs)[_-](\d+)", path.name)
            if found and int(found[1]) > step:
                path.unlink()


def save_strip(path, pictures):
    """Write pictures uint8 (H, W, 3) side by side as a PNG."""
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, png(side_by_side(pictures)))


def side_by_side(pictures):
    """Pictures uint8 (H, W, 3) -> one, as high as the highest, white below the others."""
    height = max(len(picture) for picture in pictures)
    padding = [((0, height - len(picture)), (0, 0), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(p, below, constant_values=255) for p, below in zip(pictures, padding, strict=True)], axis=1
    )


def load_strip(path, sizes):
    """The pictures uint8 (H, W, 3), of these sizes (H, W), that save_strip wrote; None if it is of others."""
    from PIL import Image

    if not Path(path).exists():
        return None
    heights, widths = zip(*sizes, strict=True)
    ends, strip = np.cumsum(widths), np.asarray(Image.open(path))
    # a resumed run may measure more or fewer maps than it did before
    if strip.shape != (max(heights), ends[-1], 3):
        return None
    return [p[:h] for p, h in zip(np.split(strip, ends[:-1], axis=1), heights, strict=True)]


def load_strips(folder, sizes):
    """Step -> pictures, for maps of these sizes, in the order of steps."""
    strips = {int(path.stem[5:]): load_strip(path, sizes) for path in sorted(folder.glob("step_[0-9]*.png"))}
    return {step: pictures for step, pictures in strips.items() if pictures}


def draw_strips(strips):
    """[(title, pictures (H, W, 3))] -> one picture, a titled row each."""
    from PIL import Image, ImageDraw, ImageFont

    scale = max(1, 120 // min(picture.shape[1] for picture in strips[0][1]))
    font, bar = ImageFont.load_default(14), 24
    rows = []
    for title, pictures in strips:
        row = side_by_side(pictures[:SHOWN]).repeat(scale, 0).repeat(scale, 1)
        head = Image.new("RGB", (row.shape[1], bar), "white")
        ImageDraw.Draw(head).text((2, 4), title, fill="#333", font=font)
        rows += [np.asarray(head), row]
    return np.concatenate(rows)


def thin_out(steps, most=6):
    """At most `most` of the steps, evenly spread, the last and, unless it is the only one, the first too."""
    places = np.linspace(len(steps) - 1, 0, min(most, len(steps)))
    return [steps[i] for i in sorted({round(x) for x in places})]


def png(picture) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png")
    return buffer.getvalue()
