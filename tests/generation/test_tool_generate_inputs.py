"""What the tool takes: tables, several controls, photos; and what it refuses, row by row or at once."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cldm.controls import Control
from cldm.weights.load import load_control
from generation.generate import Settings, generate
from generation.picture_text import KEY, png_with, read_facts
from ldm.checkpoint import read_state_dict, write_state_dict
from pictures.region_maps import save_map
from small_maps import REGIONS, pictures, region_ids, rows


@pytest.fixture
def table(tmp_path):
    def write(*lines):
        path = tmp_path / "prompts.csv"
        path.write_text("\n".join(["map,prompt,seed", *lines]))
        return "--prompts", path

    return write


def test_bad_rows_are_rejected_with_their_reasons_and_the_others_drawn(draw, folder, table, tmp_path, capsys):
    source = folder / "maps" / "source"
    Image.fromarray(np.uint8(REGIONS.colours)[region_ids(0)] // 2).save(source / "off.png")
    Image.fromarray(region_ids(0)).save(source / "grey.png")
    Image.fromarray(np.uint8(REGIONS.colours)[region_ids(0)]).save(source / "rgb.png")
    save_map(source / "empty.png", region_ids(0) * 0)
    save_map(source / "long.png", region_ids(0)[:, 20:24])
    (source / "broken.png").write_bytes(b"\x89PNG")
    names = "none ../maps/source/1 off grey empty long broken".split()
    lines = [f"source/{name}.png,a red top," for name in names]
    wrong = [f"source/1.png,{'a ' * 2000},", "source/1.png,a,-4", "source,a,"]
    out = draw(
        tmp_path / "out", *table(*lines, *wrong, "source/rgb.png,a red top,3", "source/1.png,a red top,3")
    )
    reasons = [row["reason"] for row in rows(out / "rejected.csv")]
    expected = "does not exist", "leads out of", "off the palette", "greyscale", "map is empty", "4 times the"
    expected += "no picture", "4000 characters", "seed must be", "does not exist"
    assert len(reasons) == len(expected)
    assert all(part in reason for part, reason in zip(expected, reasons, strict=True))
    assert list(pictures(out)) == ["00011_rgb_3.png", "00012_1_3.png"]
    assert "2 pictures to be there, 10 rows rejected" in (told := capsys.readouterr().out)
    assert "row 1, source/none.png: " in told and "and 5 more, see rejected.csv" in told


def test_names_that_mean_something_to_a_file_system_make_harmless_files(draw, folder, table, tmp_path):
    name = "source/a b;$(x) é'.png"
    save_map(folder / "maps" / name, region_ids(2))
    out = draw(tmp_path / "out", *table(f'"{name}",a red top,3'))
    assert list(pictures(out)) == ["00001_a_b___x_____3.png"]
    assert rows(out / "manifest.csv")[0]["map"] == name


def test_several_controls_have_files_maps_strengths_and_ranges_of_their_own(draw, folder, tmp_path):
    """A second one without regions reads pictures of any colours."""
    branch = {name: t + 0.01 for name, t in read_state_dict(folder / "control.safetensors").items()}
    write_state_dict(branch, tmp_path / "pose.safetensors")
    (tmp_path / "poses" / "source").mkdir(parents=True)
    pose = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pose).save(tmp_path / "poses" / "source" / "1.png")
    first, second = folder / "control.safetensors", f"{tmp_path}/pose.safetensors:0.5:0-0.5@{tmp_path}/poses"
    control = "--control", f"{first}:0.8", "--control", second
    out = draw(tmp_path / "out", "--batch-size", 1, control=control)
    assert [row["reason"].rpartition(" ")[2] for row in rows(out / "rejected.csv")] == ["exist", "exist"]
    model = load_control(first, folder / "small.yaml", "cpu").model
    other = load_control(first, folder / "small.yaml", "cpu").model.control_model
    other.load_state_dict({name.removeprefix("control_model."): t for name, t in branch.items()})
    controls = [Control(REGIONS.to_hint(region_ids(1)), strength=0.8)]
    controls += [Control(pose.astype(np.float32) / 255, other, 0.5, 0, 0.5)]
    few = dict(steps=2, scale=3.0, seed=1)
    drawn = generate(model, controls, Settings("a red top, 1", **few))
    ours = np.asarray(Image.open(out / "00002_1_1.png")).astype(int)
    # weights that lie elsewhere in memory round otherwise
    assert np.abs(ours - drawn[0]).max() <= 1
    assert np.abs(ours - generate(model, controls[:1], Settings("a red top, 1", **few))[0]).max() > 20
    assert [c["strength"] for c in read_facts(out / "00002_1_1.png")["controls"]] == [0.8, 0.5]


def test_maps_and_photos_come_to_one_size_that_the_model_knows(draw, folder, table, tmp_path):
    save_map(folder / "maps" / "source" / "large.png", np.kron(region_ids(1), np.ones((3, 4), np.uint8)))
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (512, 384), "blue").save(photos / "large.jpg")
    Image.new("RGB", (64, 128)).save(photos / "1.jpg")
    asked = table("source/large.png,a,", "source/1.png,b,", "source/3.png,c,")
    out = draw(tmp_path / "out", *asked, "--photo", photos)
    assert Image.open(out / "00001_large_0.png").size == (64, 64)
    reasons = [row["reason"] for row in rows(out / "rejected.csv")]
    assert "is 64 x 128 pixels, its map 64 x 64: not of one shape" in reasons[0]
    assert "0 files of" in reasons[1] and "named as the map source/3.png" in reasons[1]
    assert read_facts(out / "00001_large_0.png")["photo"]["denoise"] == 0.75
    larger = draw(tmp_path / "larger", *table("source/large.png,a,"), "--size", 128)
    assert Image.open(larger / "00001_large_0.png").size == (192, 128)


def test_a_region_that_a_map_lacks_is_a_rejected_row(draw, folder, table, tmp_path):
    save_map(folder / "maps" / "source" / "topless.png", region_ids(1) // 2 * 2)
    Image.new("RGB", (64, 64)).save(folder / "maps" / "target" / "topless.png")
    asked = table("source/topless.png,a,", "source/1.png,a,")
    photos = "--photo", folder / "maps" / "target"
    out = draw(tmp_path / "out", *asked, *photos, "--inpaint", "top")
    assert list(pictures(out)) == ["00002_1_1.png"]
    assert "the map has no region top" in rows(out / "rejected.csv")[0]["reason"]


def test_without_a_trained_control_it_says_how_to_get_one(draw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SystemExit, match="no trained control in runs/: `make demo` trains one, or name a file"
    ):
        draw(tmp_path, control=())


def test_an_untrained_control_is_told(draw, folder, tmp_path, capsys):
    zeros = {name: t * 0 for name, t in read_state_dict(folder / "control.safetensors").items()}
    write_state_dict(zeros, tmp_path / "fresh.ckpt")
    control = "--control", folder / "control.safetensors", "--control", tmp_path / "fresh.ckpt"
    draw(tmp_path / "out", "--limit", 1, control=control)
    assert capsys.readouterr().out.count("has an untrained control") == 1


def test_a_picture_of_others_is_not_taken_for_one_that_is_done(draw, tmp_path):
    deep = PngInfo()
    deep.add_text(KEY, "[" * 100_000)
    unread, silent = "no picture that can be read", "does not say how it was made"
    for data, texts, reason in ((b"\x89PNG", None, unread), (None, None, silent), (None, deep, unread)):
        Image.new("RGB", (64, 64)).save(tmp_path / "00002_1_1.png", pnginfo=texts)
        if data:
            (tmp_path / "00002_1_1.png").write_bytes(data)
        with pytest.raises(SystemExit, match=reason):
            draw(tmp_path, "--limit", 1)


def test_facts_survive_any_prompt(tmp_path):
    control = dict(file="a.ckpt", strength=[0.5, 1.0], start=0.0, end=1.0)
    facts = dict(
        prompt='é\n"x": Steps: 3, \U0001f457' * 50, negative_prompt="", size=[64, 64], model="a, b.ckpt"
    )
    facts |= dict(steps=3, sampler="dpmpp_2m", scale=3.0, seed=2**62, photo=None, controls=[control])
    path = tmp_path / "a.png"
    path.write_bytes(png_with(np.zeros((64, 64, 3), np.uint8), facts))
    assert read_facts(path) == facts
