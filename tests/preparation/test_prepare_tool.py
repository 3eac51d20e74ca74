"""The command that prepares a folder: its flags are the options, its errors are lines."""

import json
import signal
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import tool_prepare_data
from annotator.imaterialist import rle_encode
from jobs.whole_files import alone_in
from preparation import PrepareOptions, prepare_folder
from preparation.checks import CHECKS
from raw_data import UNCHECKED, box, make_raw, options, read_lines, read_reasons, write_raw
from tutorial_dataset import MyDataset
from tutorial_tryon_dataset import TryonDataset


@pytest.fixture(autouse=True)
def no_signal_handlers(monkeypatch):
    """The command's handlers would stay for all tests after these."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.fixture
def run(monkeypatch, capsys):
    """What the command prints, or the message and code with which it exits."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tool_prepare_data.py", *map(str, arguments)])
        try:
            tool_prepare_data.main()
        except SystemExit as exit:
            return f"{exit.code} {capsys.readouterr().err}"
        return capsys.readouterr().out

    return run


def test_help_shows_every_check_and_option_with_its_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tool_prepare_data.py", "--help"])
    with pytest.raises(SystemExit):
        tool_prepare_data.main()
    shown = capsys.readouterr().out
    flags = {
        field.metadata.get("flag", "--" + field.name.replace("_", "-")) for field in fields(PrepareOptions)
    }
    assert not [text for text in flags | {f"{name}=" for name in CHECKS} if text not in shown]
    assert "The default is 512." in shown and "fill50k" in shown


def test_the_command_does_what_the_function_does(tmp_path, run):
    raw = make_raw(tmp_path / "raw")
    flags = [flag for check in UNCHECKED for flag in ("--threshold", check)]
    flags += ["--size", 128, "--square", "--test", 0, "--workers", 1, "--prompt", "garments,caption"]
    out = run(raw, tmp_path / "a", *flags)
    assert "rows      11: 3 painted, 1 for words only, 7 rejected" in out and "a/report.html" in out
    prepare_folder(raw, tmp_path / "b", options(prompt=("garments", "caption")))
    lines = [read_lines(tmp_path / name / "prompt.json") for name in "ab"]
    assert lines[0] == lines[1] and lines[0][0]["prompt"] == "a top"


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--size", "100"], "error: size must be a multiple of 64, got 100"),
        (["--val", "0.7", "--test", "0.5"], "error: val must be so small"),
        (["--workers", "0"], "error: workers must be at least 1"),
        (["--max-upscale", "0.5"], "error: max_upscale must be from 1 to 16"),
        (["--threshold", "blured=1"], "did you mean blurred?"),
        (["--table", "x"], "table must be one of official, "),
        (["--regions", "none.yaml"], "error: --regions none.yaml does not exist"),
        (["--cache", "none.ckpt"], "error: --cache none.ckpt does not exist"),
        (["--cache", ""], "error: --cache  does not exist"),
        (["--cache-dtype", "float8"], "invalid choice: 'float8'"),
        (["--cache-batch-size", "0"], "error: --cache-batch-size must be at least 1"),
        (["--hints", "x"], "invalid choice"),
    ],
)
def test_wrong_options_are_named_before_anything_is_written(tmp_path, run, flags, message):
    raw = make_raw(tmp_path / "raw")
    assert message in run(raw, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_a_run_that_leaves_nothing_to_train_on_fails(tmp_path, run):
    raw = make_raw(tmp_path / "raw")
    message = run(raw, tmp_path / "out", "--size", 1024, "--workers", 1)
    assert "error: no picture is left to train on" in message and "out/report.html shows why" in message


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, run, monkeypatch):
    raw = make_raw(tmp_path / "raw")

    def write_bytes(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", write_bytes)
    message = run(raw, tmp_path / "out", "--workers", "1")
    assert "error: [Errno 28] No space left on device" in message and "settings.json" in message


def test_an_error_of_ours_names_the_photo(tmp_path, monkeypatch):
    raw = make_raw(tmp_path / "raw")
    monkeypatch.setattr("preparation.one_photo.measure", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError, match="good.jpg can't be prepared: ZeroDivisionError"):
        prepare_folder(raw, tmp_path / "out", options())


def test_an_annotation_of_an_absurd_size_takes_no_memory(tmp_path):
    raw = make_raw(tmp_path / "raw")
    good = rle_encode(box(0, 0, 64, 64, (128, 128)))
    other = write_raw(tmp_path / "huge", ["good.jpg,1 2,60000,60000,10", f"wide.jpg,{good},128,256,1"])
    for name in ("good", "wide"):
        (other / "train" / f"{name}.jpg").write_bytes((raw / "train" / f"{name}.jpg").read_bytes())
    summary = prepare_folder(other, tmp_path / "out", options())
    assert "60000 x 60000" in read_reasons(tmp_path / "out")["good.jpg"][0] and summary["photos"]["used"] == 1


def test_no_other_run_writes_while_the_cache_is_made(tmp_path, run, monkeypatch):
    raw, out, asked = make_raw(tmp_path / "raw"), tmp_path / "out", []

    def build_cache(folder, checkpoint, **settings):
        asked.append(checkpoint)
        with pytest.raises(ValueError, match="being written by another run"), alone_in(out):
            pass

    monkeypatch.setattr("batches.cache.build.build_cache", build_cache)
    flags = [flag for check in UNCHECKED for flag in ("--threshold", check)]
    run(
        raw, out, *flags, "--size", 128, "--square", "--workers", 1, "--cache", "models/tiny/base.safetensors"
    )
    assert asked == ["models/tiny/base.safetensors"]


def test_a_recipes_cache_is_of_fittings(tmp_path, run, monkeypatch):
    given, line = [], dict(source="s", target="t", prompt="", name="0", garment="g", mask="m")

    def prepare(raw, out, options):
        Path(out).mkdir()
        Path(out, "prompt.json").write_text(json.dumps(line))
        return dict(pictures=dict(kept=1))

    monkeypatch.setattr("preparation.prepare_folder", prepare)
    monkeypatch.setattr("batches.cache.build.build_cache", lambda dataset, *_, **__: given.append(dataset))
    (tmp_path / "own" / "image").mkdir(parents=True)
    (tmp_path / "own" / "cloth").mkdir()
    cache = ["--cache", "models/tiny/base.safetensors", "--cache-config"]
    for out, recipe in (("fittings", "tryon_tiny_ootd"), ("maps", "cldm_tiny")):
        run(tmp_path / "own", tmp_path / out, *cache, f"models/{recipe}.yaml")
    assert [type(dataset) for dataset in given] == [TryonDataset, MyDataset]
    said = run(tmp_path, tmp_path / "none", *cache, "models/tryon_tiny_ootd.yaml")
    assert "is a try-on recipe" in str(said) and not (tmp_path / "none").exists()
