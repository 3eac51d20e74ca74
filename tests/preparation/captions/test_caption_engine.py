"""Captioning can be stopped anywhere and goes on; many processes caption each picture once."""

import os
import shutil
import signal
import sys

import pytest
from PIL import Image

import tutorial_caption
from caption_folder import Stub, job, make_folder, read_lines, read_records
from caption_processes import ended, forked, free_port, is_gone, wait_for_records
from preparation.captions import predict  # noqa: F401 - before any fork: the import takes seconds
from preparation.captions.run import caption_folder
from small_processes import TORCHRUN, started
from sources import ROOT


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", 10)


def column(folder, name="stub"):
    return [line.get("captions", {}).get(name) for line in read_lines(folder)]


def test_every_picture_gets_its_caption_and_the_prompt_stays(folder):
    summary = caption_folder(job(folder))
    assert column(folder) == [f"picture {i} {i}" for i in range(10)]
    assert [line["prompt"] for line in read_lines(folder)] == [f"circle {i}" for i in range(10)]
    assert read_lines(folder)[9]["scores"] == {"stub": {"length": 11.0}}
    assert "phrases" not in read_lines(folder)[0]
    assert (summary["captioned"], summary["failed"], summary["left_out"]) == (10, 0, 0)


def test_a_second_run_captions_nothing_and_changes_no_byte(folder, capsys):
    caption_folder(job(folder))
    table, parts = (folder / "prompt.json").read_bytes(), len(list(folder.glob("captions/stub/part-*")))
    Stub.batches = []
    assert caption_folder(job(folder))["new"] == 0
    assert Stub.batches == [] and (folder / "prompt.json").read_bytes() == table
    assert len(list(folder.glob("captions/stub/part-*"))) == parts
    said = capsys.readouterr().out
    assert f"report: {folder}/captions/report.html" in said and "0 failed; 0 left out" in said


def test_a_run_killed_amid_a_batch_goes_on_with_the_pictures_it_lacks(folder):
    whole = make_folder(folder.parent / "whole", 10)
    caption_folder(job(whole))
    child = forked(lambda: caption_folder(job(folder, batch_size=2)), STUB_STOPS_AT="target/4.png")
    wait_for_records(folder, 4, lambda: is_gone(child))
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    [part] = folder.glob("captions/stub/part-*")
    # as a kill amid the writing of a line leaves it
    part.write_bytes(part.read_bytes()[:-20])
    assert part.read_bytes().count(b"\n") == 3 and column(folder) == [None] * 10
    caption_folder(job(folder))
    assert sum(Stub.batches) - 10 == 7
    assert (folder / "prompt.json").read_bytes() == (whole / "prompt.json").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_its_exit_code_and_says_that_the_command_resumes(
    folder, monkeypatch, capfd, number
):
    command = ["x", str(folder), "--captioner", "stub", "--batch-size", "1", "--workers", "2"]
    monkeypatch.setattr(sys, "argv", [*command, "--device", "cpu"])
    child = forked(tutorial_caption.main, STUB_STOPS_AT="target/2.png")
    wait_for_records(folder, 2, lambda: is_gone(child))
    os.killpg(child, number)
    assert ended(child) == 128 + number
    assert capfd.readouterr().err.strip() == "stopped; the same command resumes"
    assert column(folder) == [None] * 10
    tutorial_caption.main()
    assert column(folder) == [f"picture {i} {i}" for i in range(10)]


@pytest.mark.parametrize(("pictures", "shares"), [(9, [4, 5]), (1, [1])])
def test_two_processes_caption_each_picture_once_and_as_one_does(tmp_path, pictures, shares):
    one, two = (make_folder(tmp_path / name, pictures) for name in ("one", "two"))
    caption_folder(job(one))
    with free_port() as port:
        # as torchrun starts processes
        given = dict(WORLD_SIZE=2, LOCAL_WORLD_SIZE=2, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        given |= dict(TORCHELASTIC_RUN_ID="1", GROUP_RANK=0)
        children = [forked(lambda: caption_folder(job(two)), RANK=r, LOCAL_RANK=r, **given) for r in (0, 1)]
        assert [ended(child) for child in children] == [0, 0]
    parts = [part.read_text().splitlines() for part in two.glob("captions/stub/part-*")]
    assert sorted(len(part) for part in parts) == shares
    assert {r["target"] for r in read_records(two)} == {f"target/{i}.png" for i in range(pictures)}
    assert (two / "prompt.json").read_bytes() == (one / "prompt.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TORCHRUN, [sys.executable]])
def test_two_launched_processes_are_one_run_that_resumes(folder, launcher):
    command = [*launcher, ROOT / "tests" / "helpers" / "caption_folder.py", folder, "--captioner", "stub"]
    command += "--batch-size 1 --device cpu --workers 1".split()
    command += [] if launcher is TORCHRUN else ["--devices", "2"]
    first = started(command, STUB_STOPS_AT="target/2.png")
    wait_for_records(folder, 2, lambda: first.poll() is not None)
    first.terminate()
    said = first.communicate()[0]
    assert first.returncode and said.count("stopped; the same command resumes") == 1, said
    again = started(command)
    said = again.communicate()[0]
    assert again.returncode == 0 and said.count("10 captioned") == 1, said
    assert len(read_records(folder)) == 10 and None not in column(folder)


def test_a_picture_that_cannot_be_read_is_listed_and_tried_again(folder):
    shutil.copy(folder / "target/3.png", folder / "3.png")
    (folder / "target/3.png").write_bytes(b"no picture")
    (folder / "target/4.png").unlink()
    assert caption_folder(job(folder))["failed"] == 2
    failed = (folder / "captions/stub/failed.csv").read_text()
    assert 'target/3.png,"it can' in failed and "target/4.png,FileNotFoundError" in failed
    assert [index for index, text in enumerate(column(folder)) if text is None] == [3, 4]
    shutil.copy(folder / "3.png", folder / "target/3.png")
    assert caption_folder(job(folder))["failed"] == 1
    assert column(folder)[3:5] == ["picture 3 3", None]


def test_a_line_that_the_captioner_refuses_is_listed_and_costs_no_other(folder):
    assert caption_folder(job(folder, refuse="target/5.png"))["failed"] == 1
    assert "target/5.png is not to my taste" in (folder / "captions/stub/failed.csv").read_text()
    assert [index for index, text in enumerate(column(folder)) if text is None] == [5]


def test_a_captioner_that_refuses_all_is_an_error(folder):
    with pytest.raises(ValueError, match="not to my taste"):
        caption_folder(job(folder, refuse="all"))


def test_a_changed_picture_is_captioned_again_and_a_copied_folder_is_not(folder):
    caption_folder(job(folder))
    Image.new("RGB", (32, 32), (200, 200, 200)).save(folder / "target/2.png")
    assert caption_folder(job(folder))["new"] == 1
    assert column(folder)[2] == "picture 2 200"
    # without the times of the files
    shutil.copytree(folder, folder.parent / "copy", copy_function=shutil.copyfile)
    assert caption_folder(job(folder.parent / "copy"))["new"] == 0


def test_a_limit_ends_early_and_the_next_run_goes_on(folder):
    caption_folder(job(folder, limit=3))
    assert sum(text is not None for text in column(folder)) == 3
    assert caption_folder(job(folder))["new"] == 7
