"""The tool puts garments on people, goes on where it was stopped, and says how it made each picture."""

import csv
import json
import shutil
import signal
import sys

import numpy as np
import pytest
from PIL import Image

import tool_evaluate
from annotator.agnostic.photos import PersonFinder
from cldm.guidance import Guidance
from cldm.weights.load_tryon import load_tryon
from generation import draw_table
from generation.fitting import FittingSettings, put_on
from generation.picture_text import read_facts
from small_finders import Detector, Parser, standing
from small_pairs import command_line, pictures, write_control, write_tryon
from tutorial_tryon_dataset import TryonDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tryon(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def draw(folder, monkeypatch):
    return command_line(folder, monkeypatch)


@pytest.fixture(scope="module")
def own(folder, tmp_path_factory):
    """Everybody in their own garment, two pictures each."""
    with pytest.MonkeyPatch.context() as patch:
        return command_line(folder, patch)(tmp_path_factory.mktemp("own"), "--num", 2)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_everybody_gets_their_own_garment_of_the_data_that_the_checkpoint_names(own, folder):
    people = [item["name"].split("__")[0] for item in TryonDataset(folder / "data", "test")]
    assert len(people) == 3
    names = [f"{name}__{name}{end}.png" for name in people for end in ("", "__2")]
    listed = rows(own / "manifest.csv")
    assert [row["file"] for row in listed] == names and set(pictures(own)) == set(names)
    assert [(row["person"], row["garment"], row["category"]) for row in listed[::2]] == [
        (name, name, "upper") for name in people
    ]
    seeds = [int(row["seed"]) for row in listed]
    assert [b - a for a, b in zip(seeds[::2], seeds[1::2], strict=True)] == [1, 1, 1]
    assert (own / "sheet.png").exists() and not (own / "rejected.csv").exists()


def test_a_picture_says_how_to_draw_it_again_to_the_bit(draw, folder, tmp_path):
    """By the dataset, whose item of a prepared folder is that of its photos."""
    pairs = folder / "data/test_unpaired.txt"
    options = "--pairs", pairs, "--guidance", 2, "--repaint", "paste", "--batch-size", 1, "--limit", 1
    (path,) = draw(tmp_path, *options, "--num", 1).glob("*__*.png")
    facts, item = read_facts(path), TryonDataset(folder / "data", pairs=pairs)[0]
    assert facts["person"]["file"].endswith(f"{path.name.split('__')[0]}.jpg")
    assert facts["mask"]["file"].endswith(".png") and facts["category"] == "upper"
    settings = FittingSettings(
        guidance=Guidance.read(facts["guidance"]),
        strength=facts["denoise"],
        **{name: facts[name] for name in ("steps", "sampler", "repaint", "eta")},
    )
    assert facts["guidance"] == [[["garment"], -1.0], [[], 2.0]] and facts["repaint"] == "paste"
    model = load_tryon(facts["checkpoint"]["file"]).model
    drawn = put_on(model, [item], [facts["seed"]], settings)[0]
    assert np.array_equal(pixels(path), drawn) and facts["size"] == [64, 64]
    assert f"{item['name']}.png" == path.name and facts["prompt"] == item["txt"]


def test_other_programs_read_the_settings_too(own):
    path = next(iter(sorted(own.glob("*__*.png"))))
    with Image.open(path) as image:
        prompt, settings = image.text["parameters"].split("\n")
    assert prompt.startswith("a person wears")
    name = path.stem.split("__")[0]
    assert settings.startswith("Steps: 1, Sampler: DDIM, Seed: ")
    assert settings.endswith(
        f"Size: 64x64, Model: tryon, Person: {name}.jpg, Garment: {name}.jpg, Category: upper"
    )


def test_a_stopped_run_goes_on_to_the_same_bits(draw, own, tmp_path, monkeypatch):
    save, left = draw_table.write_atomically, [3]

    def stopping(path, content):
        left[0] -= path.suffix == ".png"
        if left[0] < 0:
            signal.raise_signal(signal.SIGINT)
        save(path, content)

    monkeypatch.setattr(draw_table, "write_atomically", stopping)
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, "--num", 2)
    assert stopped.value.code == 130
    assert len(pictures(tmp_path)) == 3 == len(rows(tmp_path / "manifest.csv"))
    monkeypatch.setattr(draw_table, "write_atomically", save)
    draw(tmp_path, "--num", 2)
    assert pictures(tmp_path) == pictures(own)


def test_what_was_made_otherwise_is_not_mixed(draw, own, tmp_path):
    shutil.copytree(own, tmp_path / "out")
    with pytest.raises(SystemExit, match="was made with repaint none, now repaint is paste: delete it"):
        draw(tmp_path / "out", "--repaint", "paste")


def test_no_picture_depends_on_order_or_batch_or_what_else_is_listed(draw, folder, tmp_path):
    lines = (folder / "data/test_unpaired.txt").read_text().splitlines()
    (tmp_path / "turned.txt").write_text("\n".join(lines[::-1]))
    (tmp_path / "last.csv").write_text("garment,person\n" + ",".join(lines[-1].split()[::-1]) + ".jpg\n")
    straight = draw(tmp_path / "a", "--pairs", folder / "data/test_unpaired.txt", "--batch-size", 3)
    for number, name in enumerate(("turned.txt", "last.csv")):
        other = draw(tmp_path / str(number), "--pairs", tmp_path / name, "--batch-size", 1)
        found = sorted(other.glob("*__*.png"))
        assert len(found) == (3, 1)[number]
        for path in found:
            assert np.abs(pixels(path) - pixels(straight / path.name)).max() <= 1


def test_evaluation_reads_what_is_drawn(own, folder, tmp_path, monkeypatch):
    """As another program's folder, and each picture as that of its pair."""
    arguments = [own, "--data", folder / "data", "--device", "cpu", "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", ["tool_evaluate.py", *map(str, arguments)])
    monkeypatch.setattr("jobs.parallel.num_cores", lambda: 1)
    tool_evaluate.main()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["protocol"]["pictures"]["count_per_set"] == 3
    assert "try-on" in json.dumps(results) and (tmp_path / "evaluation.html").exists()


@pytest.fixture(scope="module")
def photos(folder, tmp_path_factory):
    """Two folders of photos, what is known of people beside them."""
    photos, data = tmp_path_factory.mktemp("photos"), folder / "data"
    lines = [line for line in TryonDataset(data).data if line["split"] == "test"]
    for part in ("people", "cloth", "mask", "source", "wearers"):
        (photos / part).mkdir()
    for letter, line in zip("abc", lines, strict=True):
        shutil.copy(data / line["target"], photos / f"people/{letter}.jpg")
        shutil.copy(data / line["garment"], photos / f"cloth/{letter}.jpg")
        shutil.copy(data / line["source"], photos / f"source/{letter}.png")
        if letter != "c":
            shutil.copy(data / line["mask"], photos / f"mask/{letter}.png")
    (photos / "captions.txt").write_text("b.jpg a red coat\n")
    return photos


def two(photos):
    return "--people", photos / "people", "--garments", photos / "cloth"


def test_two_folders_of_photos_are_enough(draw, photos, folder, tmp_path):
    """With masks beside the people; who lacks one is rejected by name."""
    (tmp_path / "pairs.txt").write_text("a b\nb a.jpg\nc a\n")
    out = draw(tmp_path / "out", *two(photos), "--pairs", tmp_path / "pairs.txt", "--batch-size", 1)
    assert list(pictures(out)) == ["a__b.png", "b__a.png"]
    (rejected,) = rows(out / "rejected.csv")
    assert (rejected["row"], rejected["person"], rejected["garment"]) == ("3", "c", "a")
    assert (
        "c: there is no pose, which mask style body_part reads: give joints or a mask" in rejected["reason"]
    )
    facts = read_facts(out / "a__b.png")
    assert facts["prompt"] == "a person wears a red coat" and facts["garment_prompt"] == "a red coat"
    # the same photos in a training folder: the same picture
    lines = [line["name"] for line in TryonDataset(folder / "data", "test").data]
    (tmp_path / "same.csv").write_text(
        f"person,garment,prompt,seed\n{lines[1]},{lines[0]},a person wears a garment,"
        f"{read_facts(out / 'b__a.png')['seed']}\n"
    )
    (same,) = draw(tmp_path / "same", "--pairs", tmp_path / "same.csv", "--batch-size", 1).glob("*__*.png")
    assert read_facts(out / "b__a.png")["prompt"] == "a person wears a garment"
    there, here = (np.asarray(Image.open(path)).astype(int) for path in (same, out / "b__a.png"))
    # a training folder brings the garment's mask, which this recipe does not read
    assert np.array_equal(there, here)


def test_regions_of_a_map_take_the_masks_place_and_cut_garments_out(draw, photos, tmp_path):
    (tmp_path / "pairs.txt").write_text("a b\nc a\n")
    given = [
        "--people",
        photos / "people",
        "--garments",
        photos / "people",
        "--pairs",
        tmp_path / "pairs.txt",
    ]
    regions = ["--inpaint", "top,whole", "--grow", 2, "--cut", "top,whole", "--repaint", "paste"]
    out = draw(tmp_path / "out", *given, *regions)
    assert list(pictures(out)) == ["a__b.png", "c__a.png"]
    facts = read_facts(out / "a__b.png")
    assert (facts["mask"]["regions"], facts["mask"]["grow"]) == ("top,whole", 2)
    assert facts["mask"]["map"]["file"].endswith("a.png")
    assert facts["garment"]["cut"] == "top,whole" and facts["garment"]["map"]["file"].endswith("b.png")
    person, drawn = pixels(photos / "people/a.jpg"), pixels(out / "a__b.png")
    kept = (np.abs(drawn - person).max(-1) <= 1).mean()
    assert 0.2 < kept < 0.95  # what is no top is the photo's own
    plain = draw(tmp_path / "plain", *given, *regions[:4], "--repaint", "paste")
    assert not np.array_equal(pixels(plain / "a__b.png"), drawn)


def test_a_map_and_a_garment_act_together(draw, folder, own, tmp_path):
    control = write_control(tmp_path / "control.safetensors")
    both = [
        ("--control", folder / "tryon.safetensors", "--control", f"{control}{rest}")
        for rest in (":0.8", ":0")
    ]
    led = draw(tmp_path / "led", control=both[0])
    free = draw(tmp_path / "free", control=both[1])
    for name in pictures(free):
        assert np.array_equal(pixels(own / name), pixels(free / name))
        assert not np.array_equal(pixels(led / name), pixels(free / name))
        (told,) = read_facts(led / name)["controls"]
        assert told["strength"] == 0.8 and told["map"].endswith(f"{name.split('__')[0]}.png")
    with Image.open(led / name) as image:
        assert "ControlNet 0" in image.text["parameters"]


def test_what_annotators_find_is_drawn_from_and_told(draw, photos, tmp_path, monkeypatch):
    """A stand-in for networks with local weights, which finds a mask's label map in any photo."""
    finder = PersonFinder(Parser(), Detector(standing(32)), dict(weights="clothes 12"))
    asked = []
    monkeypatch.setattr(
        PersonFinder, "load", lambda *weights, **options: asked.append((weights, options)) or finder
    )
    (tmp_path / "pairs.txt").write_text("c a\na b\n")
    weights = tmp_path / "clothes"
    weights.touch()
    where = "--pairs", tmp_path / "pairs.txt", "--segmenter", weights
    people = tmp_path / "people"
    shutil.copytree(photos / "people", people)
    out = draw(tmp_path / "out", "--people", people, "--garments", photos / "cloth", *where)
    assert asked == [((weights,), dict(device="cpu", poses=True))]
    facts = read_facts(out / "c__a.png")
    assert facts["mask"] == dict(style="body_part") and facts["found_by"] == dict(weights="clothes 12")
