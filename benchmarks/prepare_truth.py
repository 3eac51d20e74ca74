"""What preparation made of a raw folder of make_raw.py, compared with the faults planted in it."""

import csv
import json
import re
from collections import Counter, defaultdict
from functools import cached_property
from pathlib import Path

from raw_faults import COPIES, FILE_FAULTS, GOOD_TURNS, KINDS, LOOKS, ROW_FAULTS

PAINTED = range(16)  # categories with a region in the table `official`
REASONS = {
    "rle_out_of_range": "reaches to pixel",
    "rle_odd": "pairs of start and length",
    "rle_overlapping": "overlap or are not sorted",
    "rle_unsorted": "overlap or are not sorted",
    "rle_empty": "empty mask",
    "unknown_class": "no category",
    "unknown_attribute": "no attribute",
    "bad_size": "must be a whole number",
    "wrong_fields": "must have 5 fields",
    "row_size": "does not match",
    "missing": "is missing",
    "truncated": "truncated",
    "not_jpeg": "is no JPEG",
    "empty_file": "is no JPEG|empty",
    "photo_size": "the table says",
    "exif_wrong": "the table says",
    "no_rows": "no row",
    "tiny": "tiny",
}


def read_csv(path: Path) -> list[list[str]]:
    """All lines of a csv without quotes, its header first."""
    return [line.split(",") for line in path.read_text().splitlines()]


def read_json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Outcome:
    """A raw folder's truth beside the training folder made of it; `kinds` by image, "good" if no fault."""

    def __init__(self, raw: Path, out: Path):
        self.raw, self.out = raw, out
        self.rows = dict(enumerate(read_csv(raw / "train.csv")[1:], 2))
        with open(out / "rejected.csv", newline="") as file:
            self.rejected = {(r["image"], int(r["line"])): r["reason"] for r in csv.DictReader(file)}
        self.kept = {line["photo"]: line for line in read_json_lines(out / "prompt.json")}
        self.left_out = {line["photo"]: line for line in read_json_lines(out / "left_out.jsonl")}
        self.summary = json.loads((out / "summary.json").read_text())
        self.faults = read_csv(raw / "faults.csv")[1:]
        self.kinds = {image: kind for image, _, kind, _ in self.faults}
        self.originals = {of: image for image, _, _, of in self.faults if of}

    @cached_property
    def lines(self) -> dict[str, list[int]]:
        """The lines of train.csv by image."""
        lines = defaultdict(list)
        for number, row in self.rows.items():
            lines[row[0]].append(number)
        return lines

    def category(self, line: int) -> int | None:
        row = self.rows[line]
        known = len(row) == 5 and row[4].split("_")[0]
        return int(known) if known and int(known) < 46 else None

    def reasons(self, image: str) -> set[str]:
        """The checks that left a picture out."""
        return {reason.split(":")[0] for reason in self.left_out.get(image, {"out": ()})["out"]}

    def wanted_rejections(self) -> dict[tuple[str, int], str]:
        """(image, line): kind of everything that rejected.csv must list, and nothing else."""
        wanted = {}
        for image, line, kind, _ in self.faults:
            if kind in ROW_FAULTS:
                wanted[image, int(line)] = kind
            elif kind == "tiny" and image in self.left_out:
                continue
            elif kind in FILE_FAULTS:
                wanted |= {(image, number): kind for number in self.lines[image] or [0]}
        return wanted

    def is_found(self, image: str, kind: str, of: str) -> bool:
        """Whether a planted fault is named, and named rightly."""
        if kind in COPIES:
            return "near_duplicate" in self.reasons(image) | self.reasons(of)
        if kind in GOOD_TURNS:
            return image in self.kept or image in self.left_out
        if kind == "tiny" and image in self.left_out:
            return "tiny" in self.reasons(image)
        if kind in LOOKS:
            return bool(self.reasons(image) & set(LOOKS[kind]))
        places = [place for place, k in self.wanted_rejections().items() if place[0] == image and k == kind]
        return all(re.search(REASONS[kind], self.rejected.get(place, "")) for place in places)

    def table(self) -> dict[str, tuple[int, list[str]]]:
        """How many faults of each kind were planted, and the images whose fault was missed."""
        planted = Counter(kind for _, _, kind, _ in self.faults)
        missed = defaultdict(list)
        for image, _, kind, of in self.faults:
            if not self.is_found(image, kind, of):
                missed[kind].append(image)
        return {kind: (planted[kind], missed[kind]) for kind in KINDS}

    def wrong_rows(self) -> list[str]:
        """Rows that are neither used nor listed, or listed without a fault, and sums that do not add up."""
        wanted, problems = self.wanted_rejections(), []
        problems += [f"{place}: {kind}, but not rejected" for place, kind in wanted.items() - self.places()]
        problems += [f"{place}: rejected: {self.rejected[place]}" for place in self.rejected.keys() - wanted]
        used = [n for n in self.rows if (self.rows[n][0], n) not in wanted]
        painted = sum(self.category(number) in PAINTED for number in used)
        numbers = {
            "total": len(self.rows),
            "painted": painted,
            "words_only": len(used) - painted,
            "rejected": len(self.rows) - len(used),
        }
        if self.summary["rows"] != numbers:
            problems.append(f"rows: summary.json says {self.summary['rows']}, wanted {numbers}")
        return problems

    def places(self) -> set[tuple[tuple[str, int], str]]:
        wanted = self.wanted_rejections()
        return {(place, wanted[place]) for place in self.rejected.keys() & wanted}

    def wrong_pictures(self) -> list[str]:
        """Photos that are neither in prompt.json nor left out nor rejected, or in two of these."""
        problems = []
        for path in sorted((self.raw / "train").iterdir()):
            image = path.name
            whole = {(image, number) for number in self.lines[image] or [0]} <= self.rejected.keys()
            times = (image in self.kept) + (image in self.left_out) + whole
            if times != 1:
                problems.append(f"{image} ({self.kinds.get(image, 'good')}) is in {times} of the three lists")
        return problems

    def false_alarms(self) -> dict[str, list[str]]:
        """By check, the images without a fault that it has left out."""
        alarms = defaultdict(list)
        for image in self.left_out:
            kind = self.kinds.get(image, "good")
            allowed = {"near_duplicate"} if image in self.originals else set()
            if kind in ROW_FAULTS:
                spoilt = next(int(line) for name, line, *_ in self.faults if name == image)
                # it may have been the only garment
                lacks = self.category(spoilt) in (None, *PAINTED)
                allowed = {"incomplete", "no_garment"} if lacks else set()
            elif kind in LOOKS or kind in FILE_FAULTS:
                continue
            for check in self.reasons(image) - allowed:
                alarms[check].append(image)
        return alarms

    def num_without_fault(self) -> int:
        """Photos without any planted fault, originals of copies and turned ones included."""
        images = {path.name for path in (self.raw / "train").iterdir()}
        return sum(self.kinds.get(image, "good") in ("good", *GOOD_TURNS) for image in images)
