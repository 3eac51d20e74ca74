"""OUT/.prepare: what is done already, a file for every chunk of photos, so that any stop can be resumed."""

import json
import os
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from jobs.whole_files import alone_in, remove_temporary, write_atomically
from pictures.unusable import Rejection
from preparation.examples import Example

CHUNK = 32
FORMAT = 2  # of the records; another one is another folder, so that measures of two kinds never mix
FOLDERS = ("source", "target", ".prepare")


@contextmanager
def open_folder(out: Path, settings: dict):
    """Make the folder, or check that it was made with these settings, and be the only one to write there.

    ValueError names a setting that differs, another run at work, or files that are not ours.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is a file: give a folder to make")
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        path = out / "settings.json"
        if path.exists():
            _check_settings(path, settings)
        else:
            _check_empty(out)
            # before all else: a folder that has nothing but this may be gone on with
            write_atomically(path, (json.dumps(settings, indent=1) + "\n").encode())
        for name in FOLDERS:
            (out / name).mkdir(exist_ok=True)
        for folder in (out, *(out / name for name in FOLDERS)):
            remove_temporary(folder)
        yield


def _check_settings(path: Path, settings: dict) -> None:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} was not written by tool_prepare_data.py, or is damaged: give another folder"
        )
    for key in dict.fromkeys([*settings, *found]):
        if found.get(key) != settings.get(key):
            raise ValueError(
                f"{path.parent} was made with {key} {found.get(key)}, not {settings.get(key)}: "
                "give another folder, or delete that one"
            )


def _check_empty(out: Path) -> None:
    # what a killed run began to write is hidden
    visible = (name for name in os.listdir(out) if not name.startswith(".") or name in FOLDERS)
    if other := min(visible, default=None):
        raise ValueError(
            f"{out} holds {other}, but no settings.json of tool_prepare_data.py: give another folder, "
            "a new or empty one"
        )


class Journal:
    """Records and rejections by chunks of CHUNK examples, in the examples' order."""

    def __init__(self, out: Path, examples: list[Example]):
        self.folder = out / ".prepare"
        self.chunks = [examples[i : i + CHUNK] for i in range(0, len(examples), CHUNK)]

    def _path(self, index: int) -> Path:
        return self.folder / f"records_{index:06d}.jsonl"

    def missing(self) -> list[int]:
        """Chunks to do: those that were not, or a rejected photo of which has changed since."""
        return [index for index in range(len(self.chunks)) if not self._is_done(index)]

    def _is_done(self, index: int) -> bool:
        if not self._path(index).exists():
            return False
        try:
            lines = self._lines(index)
            failed = dict(line["failed"] for line in lines if "failed" in line)
            done = {line["example"] for line in lines if "example" in line}
        except (ValueError, TypeError, KeyError):
            # cut short by a power cut
            return False
        return all(
            example.name in done or failed.get(example.name) == file_sizes(example)
            for example in self.chunks[index]
        )

    def write(self, index: int, results: list[tuple[list[dict], list[Rejection]]]) -> None:
        """Note a chunk's photos as done, once their files are there."""
        lines = []
        for example, (records, rejected) in zip(self.chunks[index], results, strict=True):
            lines += records
            lines += [{"rejected": astuple(rejection)} for rejection in rejected]
            if not records:
                lines.append({"failed": [example.name, file_sizes(example)]})
        content = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(self._path(index), content.encode())

    def _lines(self, index: int) -> list[dict]:
        return [json.loads(line) for line in self._path(index).read_text().splitlines()]

    def read(self) -> tuple[list[dict], list[Rejection]]:
        """All records and rejections."""
        records, rejected = [], []
        for index in range(len(self.chunks)):
            for line in self._lines(index):
                if "rejected" in line:
                    rejected.append(Rejection(*line["rejected"]))
                elif "failed" not in line:
                    records.append(line)
        return records, rejected


def file_sizes(example: Example) -> list[int | None]:
    """Bytes of an example's files, None where one is missing or may not be read."""
    return [
        path.stat().st_size if os.path.isfile(path) and os.access(path, os.R_OK) else None
        for path in example.files()
    ]
