"""tool_evaluate.py on try-on: four ways of drawing, the truth redrawn, a protocol beside every number."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import tool_evaluate
from cldm.tryon.image_encoders import DINO_SIZES, DinoGarments
from cldm.weights.graft import add_control
from cldm.weights.load_tryon import load_tryon
from evaluation import fitting_sets
from evaluation.fitting_sets import FittingCheckpoint, check_repaint, roll
from evaluation.fittings import HeldOutFittings
from evaluation.garment_fidelity import summarize, tell_apart
from evaluation.picture_sets import read_png
from evaluation.redrawing import Redrawing
from generation.fitting import FittingSettings, put_on
from paperdoll.tryon_folders import make_dress_code
from small_clip import save_small_clip
from small_evaluation import pictures, results, rows
from small_fittings import draw_fittings, forget_drawing
from sources import ROOT
from tutorial_tryon_dataset import TryonDataset

NUM = 8  # the fewest for intervals


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dolls")
    return draw_fittings(folder, 1, NUM, drawn=(64, 48), size=(64, 64))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A try-on model as grafted, which draws badly, but draws."""
    path = tmp_path_factory.mktemp("graft") / "tryon.safetensors"
    add_control(ROOT / "models/tiny/base.safetensors", str(path), str(ROOT / "models/tryon_tiny_joint.yaml"))
    return path


def run(monkeypatch, out, *arguments):
    given = [*arguments, "--out", out, "--sampling-steps", 1, "--batch-size", 8, "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["tool_evaluate.py", *map(str, given)])
    monkeypatch.setattr("jobs.parallel.num_cores", lambda: 1)
    tool_evaluate.main()
    return out


@pytest.fixture
def evaluate(monkeypatch):
    return lambda out, *arguments: run(monkeypatch, out, *arguments)


@pytest.fixture(scope="module")
def unpaired(data, checkpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        out = tmp_path_factory.mktemp("unpaired")
        return run(patch, out, checkpoint, "--data", data, "--pairs", data / "test_unpaired.txt")


def drawn(out, way):
    (folder,) = (out / "pictures").glob(f"{way}_*")
    return [read_png(path) for path in sorted(folder.glob("*.png"))]


def test_each_way_draws_what_it_says_and_is_measured_so(unpaired, data, checkpoint):
    dataset = TryonDataset(data, pairs=data / "test_unpaired.txt")
    model, places, redrawing = load_tryon(checkpoint).model, range(NUM), Redrawing(dataset)
    rolled = roll(HeldOutFittings(dataset))
    settings, none = FittingSettings(steps=1), FittingSettings(1, guidance=model.guidance_without_garment())
    wanted = dict(
        floor=put_on(model, [dataset[i] for i in places], list(places), none),
        rolled=put_on(model, [rolled[i] for i in places], list(places), settings),
    )
    wanted["try-on"] = put_on(model, [dataset[i] for i in places], list(places), settings)
    found = results(unpaired)["metrics"]
    masks = [dataset[i]["mask"][..., 0] > 0.5 for i in places]
    for way, expected in wanted.items():
        written = drawn(unpaired, way)
        assert np.abs(np.stack(written).astype(int) - expected).max() <= 1
        numbers = summarize([tell_apart(written[i], redrawing[i], masks[i]) for i in places])
        for name, value in numbers.items():
            assert found[name]["values"][way] == pytest.approx(value), (way, name)
    assert not np.array_equal(wanted["try-on"], wanted["rolled"])


def test_the_ceiling_lies_above_the_floor_and_values_have_intervals(unpaired):
    metrics = results(unpaired)["metrics"]
    for name in ("garment@16", "detail", "PSNR in mask", "SSIM"):
        values = metrics[name]["values"]
        assert list(values) == ["floor", "rolled", "try-on", "ceiling"]
        assert values["ceiling"] > values["floor"]
    assert metrics["ΔE"]["values"]["ceiling"] < metrics["ΔE"]["values"]["floor"]
    assert {d["name"] for d in metrics["detail"]["differences"]} == {"try-on - rolled", "try-on - floor"}
    for name in ("ΔE", "PSNR in mask"):
        for way, (low, high) in metrics[name]["intervals"].items():
            assert low < metrics[name]["values"][way] < high
    told = {(row["metric"], row["of"]): row for row in rows(unpaired)}
    assert float(told["ΔE", "try-on"]["low"]) == metrics["ΔE"]["intervals"]["try-on"][0]


def test_every_number_carries_the_protocol_of_try_on(unpaired, data, checkpoint):
    wanted = "data.pairs data.sha256_of_pairs data.split data.items data.sizes.64x64 data.mask_style "
    wanted += "data.truth data.resize_filter data.file_format pictures.steps pictures.sampler "
    wanted += "pictures.repaint pictures.file_format pictures.seed_rule checkpoints.try-on.guidance "
    wanted += "checkpoints.try-on.sha256_of_all_weights versions.torch versions.pillow intervals.resamples"
    for row in rows(unpaired):
        assert [name for name in wanted.split() if not row[name]] == []
    protocol = results(unpaired)["protocol"]
    assert protocol["data"]["pairs"] == "test_unpaired.txt" and protocol["data"]["split"] == "test"
    assert protocol["data"]["truth"] == "redrawn" and protocol["data"]["mask_style"] == "body_part"
    assert protocol["pictures"]["repaint"] == "none"
    assert protocol["checkpoints"]["try-on"]["guidance"] == [[["garment"], -1.5], [[], 2.5]]


def test_page_and_sheet_show_garments_people_and_the_truth(unpaired):
    page = (unpaired / "evaluation.html").read_text()
    assert "8 people in garments" in page and page.count("data:image/jpeg") == 1
    assert "held-out maps" not in page and "The truth is exact" in page
    assert not any(word in (unpaired / "results.md").read_text() for word in ("control", "map,"))


def test_the_same_command_draws_nothing_again(unpaired, evaluate, data, checkpoint, monkeypatch):
    before = pictures(unpaired)
    monkeypatch.setattr(fitting_sets, "load_tryon", counted := Counted(fitting_sets.load_tryon))
    evaluate(unpaired, checkpoint, "--data", data, "--pairs", data / "test_unpaired.txt")
    assert pictures(unpaired) == before and counted.calls == 1  # to see what it is


class Counted:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments, **options):
        self.calls += 1
        return self.function(*arguments, **options)


@pytest.fixture(scope="module")
def truths(data, tmp_path_factory):
    """A folder in which another program has drawn everything right, by names of persons."""
    dataset, folder = TryonDataset(data, pairs=data / "test_unpaired.txt"), tmp_path_factory.mktemp("truths")
    for place, (person, _) in enumerate(dataset.pairs):
        Image.fromarray(Redrawing(dataset)[place].truth).save(folder / f"{person['name']}.png")
    return folder


def test_a_folder_of_right_pictures_scores_as_the_truth_beside_a_checkpoint(
    evaluate, data, checkpoint, truths, tmp_path
):
    out = evaluate(tmp_path, checkpoint, truths, "--data", data, "--pairs", data / "test_unpaired.txt")
    found = results(out)
    values = {name: metric["values"] for name, metric in found["metrics"].items()}
    assert list(values["ΔE"]) == ["floor of A", "rolled of A", "A", "ceiling of A", "B"]
    assert values["garment@16"]["B"] == values["detail"]["B"] == 1 and values["ΔE"]["B"] == 0
    assert values["garment@16"]["A"] < 0.5
    names = [d["name"] for d in found["metrics"]["ΔE"]["differences"]]
    assert names == ["B - A", "A - rolled of A", "A - floor of A"]
    assert found["protocol"]["checkpoints"]["B"]["drawn_by"] == "another program"


def test_of_a_folder_alone_nothing_is_said_of_how_it_was_drawn(evaluate, data, truths, tmp_path):
    found = results(evaluate(tmp_path, truths, "--data", data, "--pairs", data / "test_unpaired.txt"))
    assert found["metrics"]["garment@16"]["values"] == {"try-on": 1.0}
    told = dict(count_per_set=NUM, repaint="as the other program does it")
    assert found["protocol"]["pictures"] == told


def test_a_folder_that_lacks_a_picture_or_has_another_size_is_refused(evaluate, data, truths, tmp_path):
    given = "--data", data, "--pairs", data / "test_unpaired.txt"
    fewer = shutil.copytree(truths, tmp_path / "fewer")
    first = sorted(fewer.iterdir())[0]
    first.unlink()
    with pytest.raises(SystemExit, match=rf"lacks 1 of 8 pictures, the first is {first.stem}__"):
        evaluate(tmp_path / "out", fewer, *given)
    Image.open(truths / first.name).resize((128, 128)).save(first)
    with pytest.raises(SystemExit, match="is 128 x 128, the data are 64 x 64: a filter that resizes"):
        evaluate(tmp_path / "out", fewer, *given)
    with pytest.raises(SystemExit, match="is a folder of pictures: say by --data"):
        evaluate(tmp_path / "out", fewer)


def test_results_compare_if_their_protocols_are_alike(unpaired, evaluate, data, checkpoint, tmp_path, capsys):
    first = unpaired / "results.json"
    content = json.loads(first.read_text())
    content["protocol"] |= dict(measured="later", device="cuda")
    content["protocol"]["checkpoints"]["try-on"]["sha256"] = "another"
    (tmp_path / "same.json").write_text(json.dumps(content))
    evaluate(tmp_path, first, tmp_path / "same.json")
    told = capsys.readouterr().out
    assert "| A: try-on |" in told and "| B: ceiling |" in told and "| garment@16 |" in told
    content["protocol"]["pictures"] |= dict(steps=30, repaint="paste")
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="pictures.steps: 1, 30; pictures.repaint: none, paste"):
        evaluate(tmp_path, first, tmp_path / "other.json")
    own = dict(pairs="each person's own garment", sha256_of_pairs=None)
    content["protocol"]["pictures"] |= dict(steps=1, repaint="none")
    content["protocol"]["data"] |= own
    (tmp_path / "paired.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r"data.pairs: test_unpaired.txt, each person's own garment"):
        evaluate(tmp_path, first, tmp_path / "paired.json")
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(SystemExit, match="none.json or .* is no result of tool_evaluate.py"):
        evaluate(tmp_path, tmp_path / "none.json", first)


def test_checkpoints_that_repaint_differently_are_not_compared(tmp_path):
    a, b = (
        FittingCheckpoint(name, tmp_path / name, FittingSettings(), dict(repaint=how))
        for name, how in (("A", "none"), ("B", "paste"))
    )
    with pytest.raises(ValueError, match="drawn by A with none and B with paste.* give both one --repaint"):
        check_repaint([a, b])
    assert check_repaint([a]) == "none"


def save_dino(folder):
    """A DINOv2 of random weights, small ones."""
    torch.manual_seed(0)
    state = DinoGarments("s").state_dict()
    torch.save({name: torch.randn_like(x) * 0.02 for name, x in state.items()}, folder / "dino.pth")
    return folder / "dino.pth"


def test_photographs_have_estimates_and_are_told_what_is_not_measured(evaluate, data, checkpoint, tmp_path):
    folder = forget_drawing(shutil.copytree(data, tmp_path / "data"))
    clip = save_small_clip(tmp_path / "clip")
    more = "--dino", save_dino(tmp_path), "--clip", clip, "--limit", 2
    found = results(evaluate(tmp_path / "out", checkpoint, "--data", folder, *more))
    assert {"SSIM", "PSNR", "CLIP-I (CLIP clip), estimate"} < set(found["metrics"])
    similarity = found["metrics"]["DINO similarity (DINOv2 ViT-s/14), estimate"]["values"]
    assert -1 <= similarity["try-on"] <= 1 and "photos" in similarity
    assert "does not say how its people were drawn" in found["missing"]["garment@16, detail, ΔE"]
    protocol = found["protocol"]
    assert protocol["backbones"]["dino"]["sha256"] and protocol["data"]["truth"] == "photographs"


def test_photographs_in_other_garments_have_no_truth(evaluate, data, checkpoint, tmp_path):
    folder = forget_drawing(shutil.copytree(data, tmp_path / "data"))
    given = "--data", folder, "--limit", 1, "--pairs", folder / "test_unpaired.txt"
    with pytest.raises(SystemExit, match="nothing can be measured without --clip, --dino or --inception"):
        evaluate(tmp_path / "out", checkpoint, *given)
    found = results(evaluate(tmp_path / "out", checkpoint, *given, "--dino", save_dino(tmp_path)))
    assert "have no truth" in found["missing"]["SSIM, PSNR and LPIPS"]
    (metric,) = found["metrics"].values()
    assert list(metric["values"]) == ["floor", "rolled", "try-on"]
    assert found["protocol"]["data"]["truth"] == "none"


def test_each_category_has_its_numbers(evaluate, checkpoint, tmp_path):
    data = draw_fittings(tmp_path, 1, 2, make=make_dress_code, drawn=(64, 48), size=(64, 64))
    given = "--data", data, "--pairs", data / "test_unpaired.txt"
    metrics = results(evaluate(tmp_path / "out", checkpoint, *given))["metrics"]
    parts = [metrics[f"ΔE, {name}"]["values"]["try-on"] for name in ("upper", "lower", "dress")]
    assert metrics["ΔE"]["values"]["try-on"] == pytest.approx(np.mean(parts))
    assert metrics["garment@16, dress"]["meaning"].endswith("of category dress")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--segmenter", "a.safetensors"], "--segmenter is for a control, .* is of try-on"),
        (["--repaint", "twice"], "repaint must be one of none, each_step, paste, blend"),
        (["--sampler", "euler"], "sampler must be one of"),
        (["--split", "val"], "no items of split val, only of test, train"),
        (["--pairs", "nowhere.txt"], "nowhere.txt"),
        (
            ["--dino", ROOT / "models/tiny/segmenter.safetensors"],
            "is no DINOv2: wanted",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(evaluate, data, checkpoint, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message) as stopped:
        evaluate(tmp_path / "out", checkpoint, "--data", data, *options)
    assert "\n" not in stopped.value.code


def test_a_scale_replaces_that_of_the_recipe(evaluate, data, checkpoint, tmp_path):
    out = evaluate(tmp_path, checkpoint, "--data", data, "--limit", 1, "--guidance", 3)
    assert results(out)["protocol"]["checkpoints"]["try-on"]["guidance"] == [[["garment"], -2.0], [[], 3.0]]


def test_a_sweep_draws_each_scale_from_the_same_noise(evaluate, data, checkpoint, tmp_path):
    """One table and one page: a column a scale, differences to the first, the floor and the ceiling once."""
    given = checkpoint, "--data", data, "--pairs", data / "test_unpaired.txt", "--limit", 2
    out = evaluate(tmp_path / "sweep", *given, "--sweep", "1,2.5")
    found = results(out)
    metric = found["metrics"]["ΔE"]
    assert list(metric["values"]) == ["floor", "guidance 1", "guidance 2.5", "ceiling"]
    assert [d["name"] for d in metric["differences"]] == ["guidance 2.5 - guidance 1"]
    told = found["protocol"]["checkpoints"]
    assert told["guidance 1"]["guidance"] == [[[], 1.0]]
    assert told["guidance 2.5"]["guidance"] == [[["garment"], -1.5], [[], 2.5]]
    assert len(drawn(out, "floor")) == len(drawn(out, "ceiling")) == 2 and len(pictures(out)) == 8
    alone = results(evaluate(tmp_path / "alone", *given))["metrics"]["ΔE"]["values"]  # its own scale is 2.5
    assert metric["values"]["guidance 2.5"] == alone["try-on"] != metric["values"]["guidance 1"]
    assert "guidance 2.5" in (out / "evaluation.html").read_text() and (out / "sheet.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "1,two"], "--sweep is a list of scales such as 1,1.5,2, got '1,two'"),
        (["--sweep", "1,1.0"], "scales of --sweep must be different numbers"),
        (["--sweep", "1,2", "--guidance", "2"], "goes without --guidance"),
        (["--protocol", "catvton"], "--protocol must be one of catvton512, voost1024"),
        (["--protocol", "catvton512"], "catvton512 measures pictures of 512x384, .* has 64x64"),
    ],
)
def test_sweeps_and_protocols_that_cannot_be_are_refused(
    evaluate, data, checkpoint, tmp_path, options, message
):
    with pytest.raises(SystemExit, match=message):
        evaluate(tmp_path / "out", checkpoint, "--data", data, *options)


def test_masks_of_another_style_are_refused(evaluate, data, checkpoint, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    table = folder / "prompt.json"
    table.write_text(table.read_text().replace('"mask_style": "body_part"', '"mask_style": "box"'))
    from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict

    told = read_metadata(checkpoint)
    told["tryon"] |= dict(mask_style="body_part")
    write_state_dict(read_state_dict(checkpoint), tmp_path / "trained.safetensors", told)
    with pytest.raises(SystemExit, match="learned masks of style body_part, the data have box"):
        evaluate(tmp_path / "out", tmp_path / "trained.safetensors", "--data", folder)


def test_a_folder_of_maps_is_no_folder_of_fittings(evaluate, checkpoint, tmp_path):
    from small_data import WIDE, write_items

    (tmp_path / "maps").mkdir()
    write_items(tmp_path / "maps", [WIDE], split="val")
    with pytest.raises(SystemExit, match="maps holds no people in garments, its lines have no 'name'"):
        evaluate(tmp_path / "out", checkpoint, "--data", tmp_path / "maps")


def test_dino_sizes_are_told_by_width():
    assert len({parts["width"] for parts in DINO_SIZES.values()}) == len(DINO_SIZES)
