"""The lines of Python in the README's section on try-on do what they say, on a small checkpoint."""

import re
import shutil

import numpy as np
from PIL import Image

from cldm.weights.load_tryon import load_tryon
from generation.fitting import put_on
from small_pairs import write_tryon
from sources import ROOT
from tutorial_tryon_dataset import TryonDataset

MOST_LINES = 10


def read_block():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Try-on\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    return block


def test_a_garment_is_put_on_in_ten_lines(tmp_path, monkeypatch):
    """The picture is, but for rounding, that of the prepared pair with the same seed."""
    block = read_block()
    assert len(block.strip().splitlines()) <= MOST_LINES
    folder, there = write_tryon(tmp_path / "small", num_people=2), tmp_path / "there"
    lines = TryonDataset(folder / "data", "test").data
    given = re.findall(r"/(target|mask|garment)/(\w+)\.(?:jpg|png)", block)
    assert {part for part, _ in given} == {"target", "mask", "garment"}
    worn = {name for part, name in given if part == "garment"}
    for part, name in given:
        source = folder / "data" / lines[name in worn][part]
        (there / "training/tryon_dolls" / part).mkdir(parents=True)
        shutil.copy(source, there / "training/tryon_dolls" / part / f"{name}{source.suffix}")
    (there / "runs/tryon_dolls").mkdir(parents=True)
    shutil.copy(folder / "tryon.safetensors", there / "runs/tryon_dolls")
    monkeypatch.chdir(there)
    exec(compile(block, "README.md", "exec"), {})  # the block is ours
    drawn = np.asarray(Image.open(there / "fitting.png")).astype(int)
    (tmp_path / "pairs.txt").write_text(f"{lines[0]['name']} {lines[1]['name']}")
    item = TryonDataset(folder / "data", pairs=tmp_path / "pairs.txt")[0] | dict(
        txt="a person wears a garment"
    )
    loaded = load_tryon(folder / "tryon.safetensors")
    assert np.abs(drawn - put_on(loaded.model, [item], [0])[0]).max() <= 1
