"""tutorial_caption.py as a person runs it, and merges that are stopped or meet each other."""

import os
import signal
import sys
from contextlib import ExitStack

import pytest
import torch
from PIL import Image

import tutorial_caption
from caption_folder import job, make_folder, read_lines, read_records
from caption_processes import ended, forked, is_gone, wait_for_records
from jobs.whole_files import alone_in
from preparation.captions.run import caption_folder, merge


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", 3, regions=True)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tutorial_caption.py", *map(str, arguments)])
    tutorial_caption.main()


def test_captioners_run_one_after_the_other_and_read_each_others_columns(folder, monkeypatch, capsys):
    command = [folder, "--captioner", "stub,attributes", "--device", "cpu", "--workers", "0"]
    run(monkeypatch, *command, "attributes.source=stub", "word=a shirt, a")
    captions = [line["captions"] for line in read_lines(folder)]
    assert captions[1] == {"stub": "a shirt, a 1 1", "attributes": "a shirt, a 1 1"}
    assert read_lines(folder)[1]["phrases"]["attributes"][0] == ["a shirt", [[0.0, 0.0, 1.0, 0.5]]]
    assert read_lines(folder)[1]["scores"]["attributes"] == {"agreement": 1.0}
    said = capsys.readouterr().out
    assert "column stub is in" in said and said.index("column stub") < said.index("column attributes")


def test_all_captioners_are_checked_before_the_first_begins(folder, monkeypatch):
    command = [folder, "--captioner", "stub,attributes", "--device", "cpu"]
    lines = (
        (folder / "prompt.json")
        .read_text()
        .replace('"prompt"', '"captions": {"attributes": "mine"}, "prompt"')
    )
    (folder / "prompt.json").write_text(lines)
    with pytest.raises(SystemExit, match="error: .*has captions attributes that were not written from"):
        run(monkeypatch, *command)
    assert not (folder / "captions").exists()


def test_the_report_alone_needs_no_captioner(folder, monkeypatch, capsys):
    run(monkeypatch, folder, "--report")
    assert capsys.readouterr().out.strip() == f"report: {folder}/captions/report.html"
    with pytest.raises(SystemExit, match="error: --captioner '' must name captioners"):
        run(monkeypatch, folder)
    with pytest.raises(SystemExit, match="error: --column is for one captioner"):
        run(monkeypatch, folder, "--captioner", "stub,attributes", "--column", "x")


def test_a_merge_that_fails_at_any_file_leaves_the_table_and_is_made_good_by_the_next(folder, monkeypatch):
    given, replace, room = job(folder, box="wrong"), os.replace, []
    caption_folder(job(folder, box="wrong", min_agreement=0.5))
    table = (folder / "prompt.json").read_bytes()

    def replace_some(*paths):
        if not room:
            raise OSError(28, "No space left on device")
        replace(*paths, **room.pop())

    monkeypatch.setattr(os, "replace", replace_some)
    for files in range(4):
        room[:] = [{}] * files
        with pytest.raises(OSError, match="No space left on device"):
            merge(given)
        assert (folder / "prompt.json").read_bytes() == table
    room[:] = [{}] * 4
    merge(given)
    assert [line["captions"] for line in read_lines(folder)] == [
        {"stub": f"picture {i} {i}"} for i in range(3)
    ]


def test_a_merge_waits_for_another_columns(folder, monkeypatch):
    caption_folder(job(folder))
    other = ExitStack()
    other.enter_context(alone_in(folder))
    waits = []

    def let_the_other_finish(seconds):
        waits.append(seconds)
        other.close()

    monkeypatch.setattr("jobs.whole_files.time.sleep", let_the_other_finish)
    assert merge(job(folder))["captioned"] == 3 and len(waits) == 1
    monkeypatch.undo()
    with alone_in(folder), pytest.raises(ValueError, match="written by another run"), alone_in(folder, 0.1):
        pass


def test_a_second_run_beside_the_first_is_refused(folder):
    (folder / "captions" / "stub").mkdir(parents=True)
    with alone_in(folder / "captions" / "stub"), pytest.raises(ValueError, match="written by another run"):
        caption_folder(job(folder))


def test_a_device_that_is_not_there_is_an_error_that_names_the_options(folder):
    many = torch.accelerator.device_count() + 1
    with pytest.raises(ValueError, match=f"--device gpu --devices {many}: "):
        caption_folder(job(folder, accelerator="gpu", devices=many))


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
def test_more_processes_than_the_processor_has_cores_are_refused(folder, monkeypatch, accelerator):
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 0)
    many = os.cpu_count() + 1
    with pytest.raises(ValueError, match=f"--devices {many}: .* {os.cpu_count()} cores"):
        caption_folder(job(folder, accelerator=accelerator, devices=many))


def test_the_readers_of_a_killed_run_end_and_leave_its_column_to_the_next(tmp_path):
    folder = make_folder(tmp_path / "data", 12)
    for index in range(12):
        # larger than a pipe: a reader whose run is gone would wait with it for ever
        Image.new("RGB", (300, 300)).save(folder / "target" / f"{index}.png")
    run = dict(workers=2, batch_size=1)
    child = forked(lambda: caption_folder(job(folder, **run)), STUB_STOPS_AT="target/2.png")
    wait_for_records(folder, 2, lambda: is_gone(child))
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL and len(read_records(folder)) == 2
    with alone_in(folder / "captions" / "stub", patience=120):
        pass
    caption_folder(job(folder))
    assert len(read_records(folder)) == 12
