"""Files that are written at once are each there whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from annotator.files import write_atomically


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
