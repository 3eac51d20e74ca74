"""Files that are written at once are each there whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from jobs.whole_files import write_atomically
from reporting.tables import save


def test_threads_that_write_files_of_alike_names_at_once_do_not_mix_them(tmp_path, monkeypatch):
    """Photos of shops have long names, which differ at their end alone."""
    both, replace = Barrier(2), os.replace

    def replace_together(*names):
        both.wait(timeout=10)
        replace(*names)

    monkeypatch.setattr(os, "replace", replace_together)
    contents = {tmp_path / f"women_blouses_and_shirts_of_the_year_2026_{i}.png": b"%d" % i for i in (1, 2)}
    with ThreadPoolExecutor(2) as pool:
        [*pool.map(write_atomically, contents.keys(), contents.values())]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents


@pytest.mark.parametrize("write", [write_atomically, save])
def test_a_full_disk_leaves_the_old_file_alone_and_is_said_with_its_name(tmp_path, monkeypatch, write):
    path, write_bytes = tmp_path / "manifest.csv", Path.write_bytes
    path.write_bytes(b"old")

    def half(self, data):
        write_bytes(self, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left on device: .*manifest.csv"):
        write(path, b"new one")
    assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]
