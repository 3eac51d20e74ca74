"""The faults that a prepared picture can have, and from which number on it has them.

The default thresholds were chosen on drawings, not on fashion photos: look at the report's contact sheets.
They let clean paper dolls of 128 and 512 px pass, flat or patterned. In those of 512 px they find a blur of
sigma 4, a mean darkened below 20, a picture washed out to luma 178 and above, grey copies and those tinted by
a factor for each channel, and JPEG quality 10 saved again with 95: test_cleaning.py holds them to it.

Not found are motion blur, overexposure that leaves dark hair dark, sepia with clipped highlights, and JPEG
blocks that were shrunk away or lie in busy texture.
"""

import difflib
import math
from dataclasses import dataclass

from preparation.duplicates import DISTANCE, distance_between, find_duplicates
from preparation.record import Record

AT_LEAST, AT_MOST, MORE_THAN = "at least", "at most", "more than"


@dataclass(frozen=True)
class Check:
    """A fault that a picture can have.

    Args:
        measure: key of record.measures that tells, None where one number does not.
        default: the threshold where the user gives none.
        direction: a picture without the fault has a number at least, at most, or more than the threshold.
        reading: the number in words; `label` and `meaning` are the fault's title and what it is.
    """

    name: str
    label: str
    measure: str | None
    default: float
    direction: str
    reading: str
    meaning: str

    def wanted(self, threshold: float) -> str:
        """What a picture without the fault has: "at most 2"."""
        return f"{self.direction} {threshold:g}"

    def finds(self, value: float | None, threshold: float | None) -> bool:
        """Whether a number has the fault: not if it could not be measured, nor if the check is off (None)."""
        if value is None or threshold is None:
            return False
        return value < threshold if self.direction == AT_LEAST else value > threshold

    def reason(self, value: float, threshold: float) -> str:
        """Why a picture of this number is out: "blurred: edges 5.1 px wide, wanted at most 2"."""
        return f"{self.name}: {self.reading.format(format(value, 'g'))}, wanted {self.wanted(threshold)}"


ALL = [
    Check(
        "near_duplicate",
        "Near duplicates",
        None,
        DISTANCE,
        MORE_THAN,
        "{} of 64 bits of their hashes differ",
        "shows the same as a better picture of another photo, perhaps mirrored, grey or cropped",
    ),
    Check(
        "blurred",
        "Blurred",
        "edge_width",
        2.0,
        AT_MOST,
        "edges {} px wide",
        "even the sharpest edges around the garments are soft",
    ),
    Check(
        "tiny",
        "Tiny",
        "upscale",
        1.25,
        AT_MOST,
        "blown up {} times",
        "had to be blown up to fill its bucket",
    ),
    Check(
        "too_dark",
        "Too dark",
        "brightness",
        65,
        AT_LEAST,
        "brightest parts {} of 255",
        "even what is brightest is dark: black clothes alone do not count",
    ),
    Check(
        "too_bright",
        "Too bright",
        "darkness",
        170,
        AT_MOST,
        "darkest parts {} of 255",
        "even what is darkest is bright: a white wall alone does not count",
    ),
    Check(
        "greyscale",
        "Greyscale",
        "colour",
        4.0,
        AT_LEAST,
        "colour {}",
        "has no colours, or shades of a single tint",
    ),
    Check(
        "jpeg_wreck",
        "Low JPEG quality",
        "jpeg_quality",
        25,
        AT_LEAST,
        "JPEG quality {}",
        "its file was saved with a very low quality and not shrunk by half since",
    ),
    Check(
        "jpeg_blocks",
        "JPEG blocks",
        "blockiness",
        1.9,
        AT_MOST,
        "blockiness {}",
        "JPEG's blocks can be seen, whatever quality it was saved with last",
    ),
    Check(
        "no_garment",
        "No usable garment",
        "garment_share",
        0.02,
        AT_LEAST,
        "garments on {} of it",
        "garments cover next to nothing of it",
    ),
    Check(
        "incomplete",
        "Incomplete maps",
        None,
        0,
        AT_MOST,
        "map incomplete",
        "its map lacks a garment whose annotation could not be used",
    ),
    Check(
        "maybe_unlabelled_people",
        "Maybe unlabelled people (a guess by skin colour)",
        "skin_outside",
        0.05,
        AT_MOST,
        "skin colour away from garments on {} of it",
        "somebody may be in it whose clothes nobody annotated; a guess, off where a detector has looked",
    ),
    Check(
        "unlabelled_people",
        "Unlabelled people (found by a detector)",
        "unlabelled",
        0.02,
        AT_MOST,
        "a person without garments on {} of it",
        "a detector found a person whose clothes nobody annotated",
    ),
]
CHECKS: dict[str, Check] = {check.name: check for check in ALL}


def choose_thresholds(overrides) -> dict[str, float | None]:
    """Thresholds of all checks by name, None for those that are off, from texts NAME=VALUE and NAME=off."""
    chosen: dict[str, float | None] = {check.name: check.default for check in ALL}
    for override in overrides:
        name, equals, text = override.partition("=")
        if name not in CHECKS:
            nearest = difflib.get_close_matches(name, CHECKS, n=1, cutoff=0.4)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise ValueError(f"there is no check {name!r}: {hint}checks are {', '.join(CHECKS)}")
        chosen[name] = None if text == "off" else _number(text, override)
    return chosen


def _number(text: str, override: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"a check is set by NAME=NUMBER or NAME=off, got {override!r}")
    return number


OF_GARMENTS = "no_garment", "maybe_unlabelled_people", "unlabelled_people"


def judge(records: list[Record], thresholds: dict[str, float | None]) -> list[list[str]]:
    """Why each record's picture should be left out, in the order of CHECKS; an empty list keeps it.

    Of pictures that show the same stays one that has no other fault, of the largest photo, then the sharpest,
    then of the first name. Where no record has a garment's box, maps are pictures: no garment is missed
    there, and nobody is unlabelled.
    """
    has_boxes = any(record.boxes for record in records)
    chosen = thresholds if has_boxes else thresholds | dict.fromkeys(OF_GARMENTS)
    reasons = [_own_faults(record, chosen) for record in records]
    distance = thresholds["near_duplicate"]
    if distance is None:
        return reasons
    worth = [_worth(record, found) for record, found in zip(records, reasons, strict=True)]
    for index, kept in sorted(find_duplicates(records, worth, distance).items()):
        bits, mirrored = distance_between(records[index], records[kept])
        like = f"the mirror image of {records[kept].name}" if mirrored else records[kept].name
        wanted = CHECKS["near_duplicate"].wanted(distance)
        reason = f"near_duplicate: like {like}, which stays: {bits} of 64 bits of their hashes differ"
        reasons[index].insert(0, f"{reason}, wanted {wanted}")
    return reasons


def _own_faults(record: Record, thresholds: dict[str, float | None]) -> list[str]:
    """Reasons that need no other record."""
    measures, found = record.measures, []
    for check in CHECKS.values():
        threshold = thresholds[check.name]
        if check.name == "incomplete" and record.incomplete and threshold is not None:
            found.append(f"incomplete: {record.incomplete}")
        elif check.name == "maybe_unlabelled_people" and "unlabelled" in measures:
            continue
        elif check.finds(value := measures.get(check.measure), threshold):
            found.append(check.reason(value, threshold))
    return found


def _worth(record: Record, reasons: list[str]) -> tuple:
    """What sorts better pictures first."""
    height, width = record.photo_size
    return bool(reasons), -height * width, record.measures["edge_width"], record.name
