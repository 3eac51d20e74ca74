"""Files that are written at once are each there whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from jobs.whole_files import remove_temporary, write_atomically


def test_threads_that_write_files_of_alike_names_at_once_do_not_mix_them(tmp_path, monkeypatch):
    """Photos of shops have long names, which differ at their end alone."""
    both, replace = Barrier(2), os.replace

    def replace_together(*names):
        both.wait(timeout=600)
        replace(*names)

    monkeypatch.setattr(os, "replace", replace_together)
    contents = {tmp_path / f"women_blouses_and_shirts_of_the_year_2026_{i}.png": b"%d" % i for i in (1, 2)}
    with ThreadPoolExecutor(2) as pool:
        [*pool.map(write_atomically, contents.keys(), contents.values())]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_a_full_disk_leaves_the_old_file_alone_and_is_said_with_its_name(tmp_path, monkeypatch):
    path, write_bytes = tmp_path / "manifest.csv", Path.write_bytes
    path.write_bytes(b"old")

    def half(self, data):
        write_bytes(self, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left on device: .*manifest.csv"):
        write_atomically(path, b"new one")
    assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]


def test_a_folder_takes_the_place_of_a_former_one_and_stays_away_if_it_fails(tmp_path):
    def write(folder, content="new"):
        folder.mkdir()
        (folder / "a.txt").write_text(content)

    place = tmp_path / "model"
    write(place, "old")
    (place / "b.txt").touch()

    def fail(folder):
        write(folder)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_atomically(place, fail)
    assert (place / "b.txt").exists() and [*tmp_path.iterdir()] == [place]
    write_atomically(place, write)
    assert [file.read_text() for file in place.iterdir()] == ["new"] and [*tmp_path.iterdir()] == [place]


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / ".a.safetensors.99.1.tmp").write_bytes(b"half")
    (tmp_path / ".folder.99.1.tmp").mkdir()
    (tmp_path / ".folder.99.1.tmp" / "part").touch()
    (tmp_path / ".hidden").touch()
    remove_temporary(tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / ".hidden"]
