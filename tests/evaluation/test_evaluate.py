"""The tool measures what it says, goes on where it was stopped, and every number carries its protocol."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from annotator.segment import PixelSegmenter
from cldm.weights.load import load_control
from evaluation import picture_sets
from evaluation.control_miou import draw_maps, region_iou
from evaluation.held_out import HeldOut
from evaluation.picture_sets import STRIDE, read_png
from generation.generate import Settings
from reporting.picture_sheet import GAP, MARGIN
from small_clip import save_small_clip
from small_data import ENCODER
from small_evaluation import JUDGE, command_line, pictures, results, rows, write_evaluation
from tutorial_dataset import MyDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_evaluation(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def compared(folder, tmp_path_factory):
    """The folder of a whole comparison, with a CLIP."""
    clip = save_small_clip(tmp_path_factory.mktemp("clip") / "clip")
    names = ("a.safetensors", "b.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        evaluate = command_line(folder, patch)
        return evaluate(tmp_path_factory.mktemp("compared"), "--clip", clip, controls=names)


def of_kind(out, kind):
    """The pictures uint8 of folders of a kind, items times seeds, in their order."""
    (folder,) = (out / "pictures").glob(f"{kind}_*")
    return [read_png(path) for path in sorted(folder.glob("*.png"))]


def test_pictures_and_miou_are_those_of_control_score(evaluate, folder, tmp_path):
    out = evaluate(tmp_path)
    held_out = HeldOut(MyDataset(folder / "data", "val"), ENCODER)
    loaded = load_control(folder / "a.safetensors", folder / "small.yaml", "cpu")
    items = [held_out[i] for i in range(4) for _ in range(2)]
    maps, numbers = [item.ids for item in items], [STRIDE * k + i for i in range(4) for k in range(2)]
    judge = PixelSegmenter.load(JUDGE).segment
    found = results(out)["metrics"]
    for kind, label, strength in (("control", "control", 1.0), ("floor", "no control", 0.0)):
        settings = Settings(steps=2, sampler="dpmpp_2m", scale=3.0)
        prompts = [item.prompt for item in items]
        wanted = draw_maps(loaded.model, maps, prompts, ENCODER, settings, numbers=numbers, strength=strength)
        drawn = of_kind(out, kind)
        assert max(np.abs(a.astype(int) - b).max() for a, b in zip(drawn, wanted, strict=True)) <= 1
        iou = region_iou(maps, [judge(picture[None])[0] for picture in drawn], ENCODER.names)
        assert found["mIoU"]["values"][label] == pytest.approx(np.mean(list(iou.values())))
        for name, value in iou.items():
            assert found[f"IoU {name}"]["values"][label] == pytest.approx(value)
    photos = region_iou(maps, [judge(i.photo[None])[0] for i in items], ENCODER.names)
    assert found["mIoU"]["values"]["photos"] == pytest.approx(np.mean(list(photos.values())))


def test_two_controls_are_compared_on_the_same_maps_seeds_and_floor(compared):
    kinds = sorted(path.name.split("_")[0] for path in (compared / "pictures").iterdir())
    assert kinds == ["control", "control", "floor"]
    names = {path.name for path in (compared / "pictures").rglob("*.png")}
    assert len(names) == 8 and len(pictures(compared)) == 24
    metrics = results(compared)["metrics"]
    for metric in metrics.values():
        values = metric["values"]
        differences = {d["name"]: d["value"] for d in metric["differences"]}
        assert differences == pytest.approx(
            {
                "B - A": values["B"] - values["A"],
                "A - no control": values["A"] - values["no control"],
                "B - no control": values["B"] - values["no control"],
            }
        )
    assert metrics["SSIM"]["values"]["A"] != metrics["SSIM"]["values"]["B"]


def test_features_are_named_after_their_network(compared):
    found = results(compared)
    wanted = {"FID (CLIP clip unit vectors)", "KID (CLIP clip unit vectors)", "CLIP score (CLIP clip)"}
    assert wanted <= {*found["metrics"]}
    assert {*found["missing"]} == {"LPIPS", "FID and KID (Inception)"}
    note = "FID of 8 pictures, fewer than 2048, comes out too high: compare equal counts only"
    noted = {name for name, metric in found["metrics"].items() if metric.get("note") == note}
    assert noted == {"FID (CLIP clip unit vectors)"}
    assert "photos" in found["metrics"]["CLIP score (CLIP clip)"]["values"]


def test_what_is_missing_is_said_with_the_remedy(evaluate, folder, tmp_path, capsys):
    missing = results(evaluate(tmp_path, "--limit", 1))["missing"]
    assert {*missing} == {"LPIPS", "FID and KID (Inception)", "FID, KID (CLIP) and CLIP score"}
    told = capsys.readouterr().out
    for name, remedy in missing.items():
        assert remedy.startswith("no --") and f"{name}: n/a, {remedy}." in told


def test_every_number_carries_the_protocol(compared, capsys):
    found, table = results(compared), rows(compared)
    protocol = found["protocol"]
    assert protocol["data"]["items"] == 4 and protocol["data"]["sizes"] == {"64x64": 3, "64x128": 1}
    assert protocol["data"]["names"] == [f"{i}_map.png" for i in (1, 2, 3, 4)]
    assert protocol["pictures"]["count_per_set"] == 8
    wanted = "data.folder data.split data.filter data.sha256_of_maps_photos_prompts data.sizes.64x64"
    wanted += " checkpoints.A.sha256 checkpoints.B.sha256 checkpoints.A.sha256_of_all_but_control"
    wanted += (
        " checkpoints.A.scale pictures.steps pictures.sampler pictures.seeds_per_item pictures.seed_rule"
    )
    wanted += " backbones.segmenter.sha256 backbones.clip.sha256 intervals.level intervals.resamples"
    wanted += " intervals.seed versions.torch versions.numpy versions.python device commit measured"
    numbers = sum(len(m["values"]) + len(m["differences"]) for m in found["metrics"].values())
    assert len(table) == numbers + len(found["missing"])
    for row in table:
        assert [name for name in wanted.split() if not row[name]] == []
    text = (compared / "results.md").read_text()
    assert [name for name in wanted.split() if f"- {name}: " not in text] == []


def test_page_and_sheet_show_maps_both_controls_and_photos(compared):
    with Image.open(compared / "sheet.png") as sheet:
        assert sheet.size[0] == 5 * 192 + 4 * GAP + 2 * MARGIN and sheet.size[1] > 4 * 192
    page = (compared / "evaluation.html").read_text()
    assert "B - A" in page and "a.safetensors" in page and page.count("data:image/jpeg") == 1
    assert "src=http" not in page and "a red top, number" in page


def test_the_same_command_draws_only_what_is_lacking(evaluate, folder, tmp_path, monkeypatch):
    whole, drawn = pictures(evaluate(tmp_path / "whole")), []
    original = picture_sets.draw_items

    def failing(*arguments):
        if len(drawn) == 3:
            raise OSError("the disk is full")
        drawn.append(1)
        return original(*arguments)

    monkeypatch.setattr(picture_sets, "draw_items", failing)
    with pytest.raises(SystemExit, match="the disk is full"):
        evaluate(tmp_path / "parts")
    assert 0 < len(pictures(tmp_path / "parts")) < len(whole)
    drawn.clear()
    monkeypatch.setattr(
        picture_sets, "draw_items", lambda *arguments: drawn.append(1) or original(*arguments)
    )
    parts = pictures(evaluate(tmp_path / "parts"))
    assert parts == whole and len(drawn) == 12 - 3
    drawn.clear()
    evaluate(tmp_path / "parts")
    assert not drawn


def test_more_items_and_seeds_keep_the_pictures_of_fewer(evaluate, tmp_path):
    few = pictures(evaluate(tmp_path, "--limit", 2, "--num", 1))
    more = pictures(evaluate(tmp_path, "--limit", 3))
    assert len(few) == 4 and len(more) == 12 and few.items() <= more.items()


def test_other_settings_are_other_pictures(evaluate, tmp_path):
    first = pictures(evaluate(tmp_path, "--limit", 1))
    second = pictures(evaluate(tmp_path, "--limit", 1, "--guidance", 5))
    assert first.items() < second.items() and len(second) == 2 * len(first)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_exit_code(evaluate, tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr(picture_sets, "draw_items", lambda *_: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as stopped:
        evaluate(tmp_path)
    assert stopped.value.code == 128 + number and "the same command resumes" in capsys.readouterr().err


def test_killed_while_a_picture_is_written_it_goes_on(evaluate, tmp_path):
    whole = pictures(evaluate(tmp_path / "whole", "--limit", 2))
    child = os.fork()
    if not child:
        original = picture_sets.write_atomically

        def write(path, data):
            original(path, data)
            path.with_name(f".{path.stem}.99.tmp").write_bytes(data[: len(data) // 2])
            if path.suffix == ".png":
                os.kill(os.getpid(), signal.SIGKILL)

        picture_sets.write_atomically = write
        evaluate(tmp_path / "killed", "--limit", 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(pictures(tmp_path / "killed")) == 1
    assert pictures(evaluate(tmp_path / "killed", "--limit", 2)) == whole
