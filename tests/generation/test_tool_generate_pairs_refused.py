"""Pairs that cannot be drawn are listed with the reason; options that cannot work are refused in one line."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from small_pairs import command_line, pictures, write_control, write_tryon
from tutorial_tryon_dataset import TryonDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_tryon(tmp_path_factory.mktemp("pairs"), num_people=2)
    write_control(folder / "control.safetensors")
    for name in ("people", "garments", "empty"):
        (folder / name).mkdir()
    for path in ("people/a.png", "garments/a.png"):
        Image.new("RGB", (64, 64), "grey").save(folder / path)
    (folder / "none.txt").write_text("\n")
    for name, content in dict(hollow="", of_maps='{"source": "a", "target": "b", "prompt": "c"}').items():
        (folder / name).mkdir()
        (folder / name / "prompt.json").write_text(content)
    (folder / "columns.csv").write_text("person,clothes\na,b\n")
    other = folder / "other"
    shutil.copytree(folder / "data", other)
    lines = [json.loads(line) for line in (other / "prompt.json").read_text().splitlines()]
    (other / "prompt.json").write_text("".join(json.dumps(x | dict(mask_style="box")) + "\n" for x in lines))
    return folder


@pytest.fixture
def draw(folder, monkeypatch):
    return command_line(folder, monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "euler"], "sampler must be one of"),
        (["--sampling-steps", "0"], "--sampling-steps must be between 1"),
        (["--repaint", "always"], "repaint must be one of none, each_step, paste, blend, got 'always'"),
        (["--denoise", "0"], "strength must be above 0"),
        (["--grow", "2"], "about the regions of --inpaint"),
        (["--inpaint", "hat"], "--inpaint hat: there is no region 'hat': regions are background, top"),
        (["--cut", "hat"], "--cut hat: there is no region 'hat'"),
        (["--cut", "mask"], "no pair can be drawn|no row can be drawn.*cut by regions"),
        (["--maps", "maps"], "--maps is about maps, not about people and garments"),
        (["--negative", "blurred"], "--negative is about maps"),
        (["--size", "128"], "--size is about maps"),
        (["--category", "upper"], "--category is about --people and --garments"),
        (["--people", "people"], "--people and --garments belong together"),
        (["--garments", "garments"], "--people and --garments belong together"),
        (["--people", "people", "--garments", "empty"], "--garments .*empty has no pictures"),
        (["--people", "none", "--garments", "garments"], "--people none does not exist"),
        (["--people", "none.txt", "--garments", "garments"], "none.txt is a file, not a folder"),
        (["--people", "people", "--garments", "garments", "--fittings", "data"], "leave out --people"),
        (["--pairs", "nowhere.txt"], "the pairs nowhere.txt does not exist"),
        (["--pairs", "people"], "the pairs .*people is a folder, not a file"),
        (["--pairs", "none.txt"], "none.txt has no pair"),
        (["--pairs", "columns.csv"], "must name the columns garment and person"),
        (["--fittings", "nowhere"], "nowhere is no training folder"),
        (["--fittings", "hollow"], "hollow has no items: tool_prepare_data.py makes"),
        (["--fittings", "of_maps"], "of_maps holds no people in garments, its lines have no"),
        (["--fittings", "other"], "the model learned masks of style body_part, the data have box"),
        (["--control", "tryon.safetensors"], "one try-on checkpoint draws, got"),
        (["--control", "control.safetensors:1:0-0"], "control.safetensors acts at none of the 1 steps"),
        (["--control", "control.safetensors:1:guess"], "guess mode is about a prediction without the prompt"),
        (["--control", "control.safetensors:11"], "strength must be between 0 and 10, got 11"),
        (["--guidance", "nan"], "--guidance must be between"),
        (["--seed", "-1"], "--seed must be between 0 and"),
        (["--seed", "99999999999999999999"], "--seed must be between 0 and"),
        (["--segmenter", "nowhere"], "--segmenter nowhere does not exist"),
        (["--out", "data"], "data is a folder of what is drawn from: choose another --out"),
        (["--people", "people", "--garments", "garments", "--out", "garments"], "choose another --out"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(draw, folder, tmp_path, arguments, message):
    there = [
        folder / name if isinstance(name, str) and (folder / name).exists() else name for name in arguments
    ]
    for i, name in enumerate(arguments):
        if name.startswith("control.safetensors:"):
            there[i] = f"{folder}/{name}"
    with pytest.raises(SystemExit, match=message) as stopped:
        draw(tmp_path / "out", *there)
    assert str(stopped.value).startswith("error: ") and "\n" not in str(stopped.value)


def test_what_is_of_try_on_is_refused_for_maps(draw, folder, tmp_path):
    control = "--control", folder / "control.safetensors"
    for option in (["--repaint", "paste"], ["--cut", "top"], ["--segmenter", "x"], ["--category", "upper"]):
        with pytest.raises(SystemExit, match=f"{option[0]} is of try-on: name a try-on checkpoint"):
            draw(tmp_path / "out", *option, control=control)


def test_without_a_trained_model_it_says_how_to_get_one(draw, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="no trained try-on in runs/: `make tryon` trains one"):
        draw(tmp_path / "out", "--fittings", folder / "data", control=())


def test_a_checkpoint_whose_base_is_gone_says_which(draw, folder, tmp_path):
    from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict

    trained, told = tmp_path / "part.safetensors", read_metadata(folder / "tryon.safetensors")
    state = read_state_dict(folder / "tryon.safetensors")
    state = {name: t for name, t in state.items() if not name.startswith(("first_stage", "cond_stage"))}
    write_state_dict(state, trained, told | dict(base="models/gone.safetensors"))
    told = "was trained on models/gone.safetensors, which is not here.* BASE models/gone.safetensors --config"
    with pytest.raises(SystemExit, match=told):
        draw(tmp_path / "out", control=("--control", trained))


def rejected(out):
    with open(out / "rejected.csv", newline="", encoding="utf-8") as file:
        return {row["person"] + " " + row["garment"]: row["reason"] for row in csv.DictReader(file)}


def test_pairs_that_cannot_be_drawn_are_listed_and_the_others_drawn(draw, folder, tmp_path):
    """Photos of every kind: missing, tiny, 16 bits a channel, damaged, animated, CMYK."""
    root = tmp_path / "photos"
    for name in ("people", "garments", "mask", "pose"):
        (root / name).mkdir(parents=True)
    line = TryonDataset(folder / "data", "test").data[0]
    person, cloth = (Image.open(folder / "data" / line[key]) for key in ("target", "garment"))
    for name in ("p", "bare", "large"):
        person.save(root / f"people/{name}.png")
    shutil.copy(folder / "data" / line["mask"], root / "mask/p.png")
    Image.new("L", (32, 32), 255).save(root / "mask/large.png")
    cloth.save(root / "garments/g.png")
    cloth.convert("CMYK").save(root / "garments/cmyk.tif")
    cloth.resize((10, 10)).save(root / "garments/tiny.png")
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(root / "garments/deep.png")
    cloth.save(root / "garments/moving.gif", save_all=True, append_images=[person])
    cloth.save(root / "garments/moving.webp", save_all=True, append_images=[person])
    (root / "garments/text.jpg").write_text("no picture")
    for suffix in (".png", ".jpg"):
        cloth.save(root / f"garments/twice{suffix}")
    pairs = tmp_path / "pairs.txt"
    lines = {
        "p g": None,
        "p cmyk": None,
        "p moving": None,  # the first picture of an animation
        "p gone": "garments has no picture gone: name another by --pairs",
        "gone g": "people has no picture gone",
        "bare g": "bare: there is no pose, which mask style body_part reads: give joints or a mask",
        "large g": "large: large.png is 32 x 32, the person 64 x 64",
        "p tiny": "tiny: it is 10 x 10 and would be enlarged 6.4 times to 64 x 64, 4 times at most",
        "p deep": "deep: the photo has mode I;16",
        "p text": "text: the photo can't be read",
        "p twice": "garments has 2 pictures twice: name one with its suffix",
        "p g hat": "g has category 'hat': want one of upper, lower, dress",
        "p g lower": "its picture would have the name of that of row 1",
        "p": "no garment is named",
        "p g upper more": "more words than a person, a garment and a category",
    }
    pairs.write_text("\n".join(lines))
    out = draw(
        tmp_path / "out", "--people", root / "people", "--garments", root / "garments", "--pairs", pairs
    )
    assert list(pictures(out)) == ["p__cmyk.png", "p__g.png", "p__moving.png"]
    with open(out / "rejected.csv", newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    wanted = [(number, reason) for number, reason in enumerate(lines.values(), 1) if reason]
    assert [int(row["row"]) for row in listed] == [number for number, _ in wanted]
    for row, (_, reason) in zip(listed, wanted, strict=True):
        assert reason in row["reason"], row


def test_a_control_without_a_map_of_the_person_names_it(draw, folder, tmp_path):
    (tmp_path / "maps").mkdir()
    name = TryonDataset(folder / "data", "test").data[0]["name"]
    shutil.copy(folder / f"data/source/{name}.png", tmp_path / f"maps/{name}.png")
    control = "--control", folder / "tryon.safetensors", "--control"
    out = draw(tmp_path / "out", control=(*control, f"{folder / 'control.safetensors'}@{tmp_path / 'maps'}"))
    assert list(pictures(out)) == [f"{name}__{name}.png"]
    (reason,) = rejected(out).values()
    assert "there is no map of test_" in reason and "@MAPS" in reason
