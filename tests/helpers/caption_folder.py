"""A small training folder, and a captioner without a model that says what it was given."""

import json
import os
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.caption import captioners
from annotator.caption.interface import Caption, Captioner
from jobs.options import option
from pictures.region_maps import save_map
from preparation.captions.run import CaptionJob
from preparation.captions.table_columns import Table

REGIONS = "names: [background, top, bottom]\ncolours: [[0, 0, 0], [255, 0, 0], [0, 255, 0]]\n"
REGIONS += "tables: {official: {top: [0, 1], bottom: [6, 7, 8]}}\nsplit_at_waist: {}\n"
REGIONS += "paint_order: [[0, 1], [6, 7, 8]]\n"
TOP = (0.0, 0.0, 1.0, 0.5)


@dataclass(frozen=True)
class StubOptions(captioners.Options):
    word: str = option("picture", "what every caption starts with")
    times: int = option(1, "how often to say it")
    loud: bool = option(False, "in capitals")
    refuse: str = option("", "target that it cannot caption, `all` for every one")
    box: str = option("", "`right` or `wrong`: a box of a top")


class Stub(Captioner):
    """`WORD NAME MEAN`: it depends on the line, on the picture, and on nothing else.

    With STUB_STOPS_AT in the environment, it never has done with the batch of that target: what is tested
    then stops it.
    """

    name = "stub"
    batches: list[int] = []

    @classmethod
    def load(cls, folder, options, device="cpu", dtype=None):
        stub = cls()
        stub.options = options
        return stub

    def caption_lines(self, lines, images):
        Stub.batches.append(len(lines))
        if bad := [line["target"] for line in lines if self.options.refuse in (line["target"], "all")]:
            raise ValueError(f"{bad[0]} is not to my taste")
        if os.environ.get("STUB_STOPS_AT") in [line["target"] for line in lines]:
            time.sleep(3600)
        return [self._caption(line, image) for line, image in zip(lines, images, strict=True)]

    def _caption(self, line, image):
        text = " ".join(
            [f"{self.options.word} {Path(line['target']).stem} {image.mean():.0f}"] * self.options.times
        )
        boxes = {"right": [TOP], "wrong": [(0.0, 0.9, 0.1, 1.0)]}.get(self.options.box, [])
        phrases = [("a red shirt", boxes)] if boxes else []
        return Caption(text.upper() if self.options.loud else text, phrases, {"length": len(text)})


def register(monkeypatch=None):
    """Make `stub` a captioner of this process."""
    module = types.ModuleType("annotator.caption.stub")
    module.Stub = Stub
    entry = captioners.CaptionerEntry(
        module="stub", captioner="Stub", options=StubOptions, needs_weights=False
    )
    if monkeypatch is None:
        sys.modules[module.__name__], captioners.CAPTIONERS["stub"] = module, entry
    else:
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(captioners.CAPTIONERS, "stub", entry)


def make_folder(folder, number, regions=False):
    """A folder like fill50k; with regions its maps show a top above and a bottom below."""
    for name in ("source", "target"):
        (folder / name).mkdir(parents=True)
    lines = []
    ids = np.repeat(np.array([1, 2], np.uint8), 16)[:, None].repeat(32, 1)
    for index in range(number):
        line = dict(source=f"source/{index}.png", target=f"target/{index}.png", prompt=f"circle {index}")
        Image.new("RGB", (32, 32), (index, index, index)).save(folder / line["target"])
        save_map(folder / line["source"], ids, [(0, 0, 0), (255, 0, 0), (0, 255, 0)])
        lines.append(json.dumps(line) + "\n")
    (folder / "prompt.json").write_text("".join(lines))
    if regions:
        (folder / "regions.yaml").write_text(REGIONS)
    return folder


def job(folder, column="stub", **more):
    """A job of the stub in this process; what its options have is an option."""
    mine = {name: more.pop(name) for name in list(more) if name in StubOptions.__dataclass_fields__}
    given = dict(batch_size=4, workers=0, accelerator="cpu") | more
    return CaptionJob(
        table=Table(folder), captioner="stub", column=column, options=StubOptions(**mine), **given
    )


def read_lines(folder, table="prompt.json"):
    return [json.loads(line) for line in (folder / table).read_text().splitlines()]


def read_records(folder, column="stub"):
    parts = sorted((folder / "captions" / column).glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


if __name__ == "__main__":
    # tutorial_caption.py with the stub among its captioners, for processes of their own
    import tutorial_caption

    register()
    tutorial_caption.main()
