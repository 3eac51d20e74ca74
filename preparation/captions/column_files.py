"""FOLDER/captions/COLUMN: what a captioner has said of which picture, appended as it comes.

    settings.json     the captioner, its options, and the files of its weights
    part-*.jsonl      the records, a file for each process of each run; nothing in them is ever changed
    failed.csv        pictures that could not be read, with the reason
    disagree.csv      captions that the column leaves out, as their boxes do not fit the map

A column of prompt.json can be made of these anew at any time.
"""

import json
import math
import os
import re
import socket
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from annotator.caption.interface import Caption
from jobs.json_files import read_json
from jobs.whole_files import write_atomically
from pictures.regions import find_regions

FOLDER, SETTINGS = "captions", "settings.json"
RESERVED = "prompt", "others"  # sources of a prompt policy that are no columns
NEGATIVE = "negative"  # a mode, and in a column's name what keeps it out of prompts
FORMAT = 1  # of the records
AGREEMENT = "agreement"
DIGITS = 4  # of a box's side: a tenth of a pixel of 1,000
RECORD = dict(target=str, file=list, text=str, phrases=list, scores=dict)
FAILURE = dict(target=str, failed=str)


class Records(NamedTuple):
    """Records of each target, the newest last; why others failed the last time; lines that are no records."""

    records: dict[str, list[dict]]
    failures: dict[str, str]
    damaged: list[str]


@dataclass(frozen=True)
class Column:
    """The records of one column of a training folder."""

    training: Path
    name: str

    def __post_init__(self):
        if not re.fullmatch(r"\w[\w-]*", self.name):
            raise ValueError(f"--column {self.name!r}: letters, digits, _ and - only, as it names a folder")

    @property
    def path(self) -> Path:
        return self.training / FOLDER / self.name

    def settings(self) -> dict | None:
        """What settings.json holds, None where there is none; ValueError if it is damaged."""
        path = self.path / SETTINGS
        if not path.is_file():
            return None
        try:
            found = read_json(path)
        except ValueError:
            found = None
        options = found.get("options", {}) if isinstance(found, dict) else None
        if not isinstance(options, dict) or not isinstance(found.get("captioner"), str):
            raise ValueError(f"{path} is damaged: delete {self.path}, or give another --column")
        return found

    def check(self, settings: dict) -> None:
        """Raise ValueError if the records there were made with other settings."""
        found = self.settings()
        old, new = _flatten(found or settings), _flatten(json.loads(json.dumps(settings)))
        for key in dict.fromkeys([*new, *old]):
            if old.get(key) != new.get(key):
                made, asked = _short_json(old.get(key)), _short_json(new.get(key))
                raise ValueError(
                    f"{self.path} was made with {key} {made}, not {asked}: give another --column, or delete "
                    "that folder"
                )

    def open(self, settings: dict) -> None:
        """Make the folder, or go on with one of the same settings."""
        self.check(settings)
        if self.settings() is None:
            if any(self.path.glob("part-*.jsonl")):
                raise ValueError(f"{self.path} has records, but no {SETTINGS}: delete that folder")
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())

    def read(self) -> "Records":
        """All that was ever noted.

        Half a line, which a killed process leaves, says nothing: that picture is captioned again.
        """
        found = Records({}, {}, [])
        for path in sorted(self.path.glob("part-*.jsonl")):
            *lines, half = path.read_bytes().split(b"\n")
            for number, line in enumerate([*lines, half], 1):
                record = _parse_record(line)
                if "failed" in record:
                    found.failures[record["target"]] = record["failed"]
                elif record:
                    found.records.setdefault(record["target"], []).append(record)
                elif line.strip() and number <= len(lines):
                    found.damaged.append(f"{path.name}, line {number}")
        return found

    def new_part(self) -> "Part":
        """A file of this process's own; its name sorts behind those of earlier runs."""
        host = re.sub(r"\W", "-", socket.gethostname())[:40]
        return Part(self.path / f"part-{time.time_ns()}-{host}-{os.getpid()}.jsonl")


class Part:
    """The file that one process of one run appends its records to; made with the first of them."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, records: list[dict]) -> None:
        """Write records; once this returns, no end of the process loses them."""
        if records:
            content = "".join(json.dumps(record) + "\n" for record in records).encode()
            with open(self.path, "ab") as file:
                file.write(content)


def check_name(column: str, options: dict) -> None:
    """Raise ValueError for a column whose name would mislead those who build prompts of columns."""
    if column in RESERVED:
        raise ValueError(f"--column {column} means something else to prompts=: give another one")
    if options.get("mode") == NEGATIVE and NEGATIVE not in column:
        raise ValueError(
            f"mode=negative says what is not in a picture, and column {column} would be trained as what is: "
            f"give a --column with {NEGATIVE!r} in its name, {column}_{NEGATIVE} say"
        )


def list_columns(training: Path) -> list[Column]:
    """The columns that captioners have begun, by name."""
    found = sorted((Path(training) / FOLDER).glob(f"*/{SETTINGS}"))
    return [Column(Path(training), path.parent.name) for path in found]


def identify_weights(folder) -> list[list]:
    """[name, bytes] of each file of a folder of weights: other weights, as a rule, differ in that."""
    if folder is None:
        return []
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = [(path.relative_to(folder), path.stat().st_size) for path in paths]
    # a downloader's notes are hidden, and change with each download
    return [[n.as_posix(), size] for n, size in names if not any(p.startswith(".") for p in n.parts)]


def stamp_file(path: Path) -> list[int]:
    """[bytes, nanoseconds of the last change] of a file."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def find_current(records: list[dict], path: Path) -> dict | None:
    """The newest of a target's records that is about the picture as it is now, None without one.

    A copied or touched file is told by its content, a CRC, as the record notes it.
    """
    if not records or not path.is_file():
        return None
    stamp = stamp_file(path)
    for record in reversed(records):
        if record["file"][:2] == stamp:
            return record
    alike = [record for record in records if record["file"][0] == stamp[0]]
    crc = zlib.crc32(path.read_bytes()) if alike else None
    return next((record for record in reversed(alike) if record["file"][2] == crc), None)


def _parse_record(line: bytes) -> dict:
    """A record, {} of a line that is none."""
    try:
        record = json.loads(line)
        kinds = FAILURE if "failed" in record else RECORD
        # half a pair of surrogates would spoil the line of prompt.json
        json.dumps(record, ensure_ascii=False).encode()
        whole = all(isinstance(record[key], kind) for key, kind in kinds.items())
        return record if whole and ("failed" in record or _is_whole(record)) else {}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}


def _is_whole(record: dict) -> bool:
    """Whether stamp, boxes and scores are as `make_record` writes them; else also TypeError, ValueError."""
    boxes = [box for _, found in record["phrases"] for box in found]
    numbers = [*record["file"], *record["scores"].values(), *(side for box in boxes for side in box)]
    shaped = all(isinstance(text, str) for text, _ in record["phrases"])
    shaped = shaped and len(record["file"]) == 3 and all(len(box) == 4 for box in boxes)
    return shaped and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)


def _flatten(settings: dict) -> dict:
    """Settings with the captioner's options among them."""
    others = {key: value for key, value in settings.items() if key != "options"}
    return others | dict(settings.get("options", {}))


def _short_json(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def make_record(target: str, stamp: list[int], caption: Caption) -> dict:
    """What is noted of a picture: its file's [bytes, nanoseconds, CRC], text, phrases with boxes, scores."""
    phrases = [
        [text, [[round(float(side), DIGITS) for side in box] for box in boxes]]
        for text, boxes in caption.phrases
    ]
    # JSON has no word for a score that is no number
    scores = {n: round(float(value), 6) for n, value in caption.scores.items() if math.isfinite(value)}
    return dict(target=target, file=stamp, text=caption.text, phrases=phrases, scores=scores)


def add_agreement(folder: Path, line: dict, record: dict) -> dict:
    """The record with scores["agreement"], of its boxes with the map as that is now.

    A record without boxes, or of a folder without region maps, stays as it is; so does one that was compared
    with this very map.
    Raises:
        ValueError: the map cannot be read; the message names it.
    """
    path, regions = folder / line["source"], find_regions(folder)
    if regions is None or not any(boxes for _, boxes in record["phrases"]):
        return record
    stamp = stamp_file(path) if path.is_file() else None
    if stamp and record.get("map") == stamp:
        return record
    # OpenCV takes its time
    from annotator.caption.agreement import check_phrases, measure_agreement
    from pictures.masks import open_mask, region_ids

    try:
        ids = region_ids(open_mask(path), regions.colours)
    except ValueError as error:
        raise ValueError(f"{line['source']}: {error}") from error
    found = measure_agreement(check_phrases(record["phrases"], ids, regions))
    scores = {name: value for name, value in record["scores"].items() if name != AGREEMENT}
    if found is not None:
        scores[AGREEMENT] = round(float(found), DIGITS)
    return record | dict(scores=scores, map=stamp)
