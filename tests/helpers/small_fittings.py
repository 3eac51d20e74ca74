"""Small folders of drawn people in garments, prepared as tool_prepare_data.py does it."""

import json

from paperdoll.tryon_folders import make_viton_hd
from preparation.fittings import FittingOptions, prepare_fittings


def draw_fittings(folder, num_train, num_test, seed=5, make=make_viton_hd, drawn=(128, 96), size=None):
    """The training folder of people that `make` draws at a size (H, W), and that are prepared at another."""
    make(folder / "raw", num_train, num_test, seed=seed, size=drawn)
    options = FittingOptions(size=size or drawn, mask_style="body_part", workers=1)
    prepare_fittings(folder / "raw", folder / "data", options)
    return folder / "data"


def forget_drawing(data):
    """Make a folder one of photographs: its lines no longer say how its people were drawn."""
    table = data / "prompt.json"
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    for line in lines:
        del line["drawn"]
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return data
