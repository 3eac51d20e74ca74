"""Photos to annotate, and tool_annotate.py's command line on them."""

import csv
import sys

import numpy as np
from PIL import Image

import tool_annotate
from paperdoll import draw
from sources import ROOT

DOLLS = ROOT / "models/tiny/segmenter.safetensors"
GARMENTS = "--annotator", "garments", "--weights", DOLLS, "--device", "cpu"
CANNY = "--annotator", "canny"
AGNOSTIC = "--annotator", "agnostic", "--device", "cpu"
ORIENTATION = 0x0112  # of EXIF


def write_photos(folder):
    """Dolls in shirts/, one of them stored turned; a grey photo, in which nothing is; and a text."""
    (folder / "shirts").mkdir(parents=True)
    for index in (21, 41, 13):
        Image.fromarray(draw(0, index, 96).photo).save(folder / "shirts" / f"{index}.png")
    turned = Image.fromarray(np.rot90(draw(0, 23, 128).photo[:, 16:112]))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned to the right
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    Image.new("RGB", (96, 64), "grey").save(folder / "grey.webp", lossless=True)
    (folder / "turned.txt").write_text("a doll")
    return folder


def command_line(monkeypatch):
    """A function that runs the tool with arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tool_annotate.py", *map(str, arguments)])
        tool_annotate.main()

    return run


def files(folder):
    """The bytes of a folder's files by their path, but for the sheet."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "sheet.png"
    }


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
