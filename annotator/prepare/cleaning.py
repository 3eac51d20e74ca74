"""Which prepared pictures should not be trained on, and why, in words."""

from .checks import CHECKS, Check, thresholds
from .duplicates import distance_between, find_duplicates

__all__ = ["CHECKS", "Check", "judge", "thresholds"]
OF_GARMENTS = "no_garment", "maybe_unlabelled_people", "unlabelled_people"


def judge(records: list[dict], thresholds: dict[str, float | None]) -> list[list[str]]:
    """Why each record's picture should be left out, in the order of CHECKS; an empty list keeps it.

    Of pictures that show the same stays one that has no other fault, of the largest photo, then the sharpest,
    then of the first name. Where no record has a garment's box, maps are pictures: no garment is missed
    there, and nobody is unlabelled.
    """
    has_boxes = any(record["boxes"] for record in records)
    chosen = thresholds if has_boxes else thresholds | dict.fromkeys(OF_GARMENTS)
    reasons = [_own_faults(record, chosen) for record in records]
    distance = thresholds["near_duplicate"]
    if distance is None:
        return reasons
    worth = [_worth(record, found) for record, found in zip(records, reasons, strict=True)]
    for index, kept in sorted(find_duplicates(records, worth, distance).items()):
        bits, mirrored = distance_between(records[index], records[kept])
        like = f"the mirror image of {records[kept]['name']}" if mirrored else records[kept]["name"]
        wanted = CHECKS["near_duplicate"].wanted(distance)
        reason = f"near_duplicate: like {like}, which stays: {bits} of 64 bits of their hashes differ"
        reasons[index].insert(0, f"{reason}, wanted {wanted}")
    return reasons


def _own_faults(record: dict, thresholds: dict[str, float | None]) -> list[str]:
    """Reasons that need no other record."""
    measures, found = record["measures"], []
    for check in CHECKS.values():
        threshold = thresholds[check.name]
        if check.name == "incomplete" and record["incomplete"] and threshold is not None:
            found.append(f"incomplete: {record['incomplete']}")
        elif check.name == "maybe_unlabelled_people" and "unlabelled" in measures:
            continue
        elif check.finds(value := measures.get(check.measure), threshold):
            found.append(check.reason(value, threshold))
    return found


def _worth(record: dict, reasons: list[str]) -> tuple:
    """What sorts better pictures first."""
    height, width = record["photo_size"]
    return bool(reasons), -height * width, record["measures"]["edge_width"], record["name"]
