"""Ctrl-C before a script has begun its work ends it with one line, and with the code that shells expect."""

import signal
import sys

import pytest

import annotator.canny
import tool_annotate
import tool_evaluate
import tutorial_caption
import tutorial_dataset
import tutorial_train
import tutorial_train_segmenter
from annotated import write_photos
from caption_folder import Stub, make_folder, register
from ldm.checkpoint import write_state_dict
from small import small_model
from small_data import WIDE, write_base, write_items


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
@pytest.mark.parametrize("script", [tutorial_train, tool_evaluate], ids=["train", "evaluate"])
def test_a_stop_before_the_first_step_is_one_line(monkeypatch, tmp_path, capsys, script, number, code):
    base, data = write_base(tmp_path), tmp_path / "data"
    data.mkdir()
    write_items(data, [WIDE], split="val")
    (tmp_path / "preset.yaml").write_text(
        f"run: {tmp_path}/run\ndata: {data}\nbase: {base}/ini.safetensors\n"
    )
    write_state_dict(small_model().state_dict(), tmp_path / "whole.safetensors")
    arguments = ["--config", f"{tmp_path}/preset.yaml"]
    if script is tool_evaluate:
        arguments = [f"{tmp_path}/whole.safetensors", "--data", str(data), "--out", f"{tmp_path}/out"]
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    monkeypatch.setattr(
        tutorial_dataset.MyDataset, "__init__", lambda *arguments: signal.raise_signal(number)
    )
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == code
    assert capsys.readouterr().err == "\nstopped; the same command resumes\n"
    assert not (tmp_path / "run").exists()


def raise_signal(number):
    return lambda *arguments, **options: signal.raise_signal(number)


def stop_amid(script, place, arguments, number, monkeypatch, capsys):
    """What a script says on its error stream, and its exit code, if a signal comes instead of `place`."""
    owner, name = place
    monkeypatch.setattr(owner, name, raise_signal(number))
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        script.main()
    return capsys.readouterr().err.strip(), stop.value.code


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@SIGNALS
def test_a_stop_while_an_annotator_loads_is_one_line(monkeypatch, tmp_path, capsys, number, code):
    photos, place = write_photos(tmp_path / "photos"), (annotator.canny, "load_as_annotator")
    arguments = [photos, tmp_path / "out", "--annotator", "canny"]
    said = stop_amid(tool_annotate, place, arguments, number, monkeypatch, capsys)
    assert said == ("stopped; the same command resumes", code) and not (tmp_path / "out").exists()


@SIGNALS
def test_a_stop_while_a_captioner_loads_is_one_line(monkeypatch, tmp_path, capsys, number, code):
    register(monkeypatch)
    folder = make_folder(tmp_path / "data", 2)
    arguments = [folder, "--captioner", "stub", "--workers", "0"]
    said = stop_amid(tutorial_caption, (Stub, "load"), arguments, number, monkeypatch, capsys)
    assert said == ("stopped; the same command resumes", code)
    assert not list(folder.glob("captions/stub/part-*"))


@SIGNALS
def test_a_stop_before_a_segmenters_first_step_is_one_line(monkeypatch, tmp_path, capsys, number, code):
    from learning.segmenter.train import SegmenterTraining

    place = SegmenterTraining, "configure_optimizers"
    arguments = ["--run", tmp_path, "--dolls", 4, "--held-out", 2, "--precision", "32-true"]
    said = stop_amid(tutorial_train_segmenter, place, arguments, number, monkeypatch, capsys)
    assert (
        said == ("stopped; the same command resumes", code)
        and not (tmp_path / "segmenter.safetensors").exists()
    )
