"""Records become lines of prompt.json, and numbers that sum a training folder up."""

import csv
import hashlib
import io
import json
from collections import Counter

from pictures.unusable import Rejection
from preparation.options import PrepareOptions
from preparation.record import Record

LAST_PROMPT = "garments"
KEPT = ("source", "target", "prompt", "captions", "size", "bucket", "regions", "areas", "split", "group")
KEPT += ("photo", "photo_size", "crop")
OF_CAPTIONERS = ("phrases", "scores")  # only where a captioner has found some
SPLITS = ("train", "val", "test")


def split_of(group: str, options: PrepareOptions) -> str:
    """train, val or test, by a hash of the group's name: more or fewer photos move none of the others."""
    digest = hashlib.sha256(f"{options.seed}:{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < options.val:
        return "val"
    return "test" if place >= 1 - options.test else "train"


def choose_prompt(captions: dict[str, str], order: tuple[str, ...]) -> str:
    """The caption that trains: of the first source in the order, then of any other, garment words last."""
    # a negative column says what is not in the picture
    others = [source for source in captions if source != LAST_PROMPT and "negative" not in source]
    return next((captions[s] for s in (*order, *others, LAST_PROMPT) if captions.get(s)), "")


def check_prompt(order: tuple[str, ...], records: list[Record]) -> None:
    """Raise ValueError for a source of captions that no photo has; the default, caption, may be absent."""
    known = {source for record in records for source in record.captions}
    for source in order:
        if records and source not in known | {"caption"}:
            listed = ", ".join(sorted(known)) or "none"
            raise ValueError(f"--prompt {source}: no photo has such captions, there are {listed}")


def make_lines(records: list[Record], groups: list[int], options: PrepareOptions) -> list[dict]:
    """A line of prompt.json for each record; pictures of one group have one split."""
    first: dict[int, str] = {}
    for record, group in zip(records, groups, strict=True):
        first[group] = min(first.get(group, record.example), record.example)
    lines = []
    for record, group in zip(records, groups, strict=True):
        more = {
            "prompt": choose_prompt(record.captions, options.prompt),
            "split": split_of(first[group], options),
            "group": first[group],
        }
        line = record.to_line() | more
        lines.append({key: line[key] for key in (*KEPT, *OF_CAPTIONERS) if key in line})
    return lines


def json_lines(lines: list[dict]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def rejected_csv(rejected: list[Rejection]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "line", "reason"])
    writer.writerows([r.image, r.line, r.reason] for r in rejected)
    return text.getvalue().encode()


def count_rows(num_rows: int, noted: list[Record], rejected: list[Rejection]) -> dict[str, int]:
    """Rows of the raw table: painted, used for words only, rejected, and their total."""
    rows = {record.example: record.rows for record in noted}
    return {
        "total": num_rows,
        "painted": sum(painted for painted, _ in rows.values()) if num_rows else 0,
        "words_only": sum(words for _, words in rows.values()),
        "rejected": len({r.line for r in rejected if r.line}),
    }


def count_photos(source, records: list[Record]) -> dict[str, int]:
    """Photos that gave a picture, those that gave none, and their total."""
    known = {example.title for example in source.examples}
    total = len(source.examples) + len({r.image for r in source.rejected if r.image} - known)
    used = len({record.example for record in records})
    return {"total": total, "used": used, "rejected": total - used}


def count_pictures(lines: list[dict], left_out: list[dict]) -> dict:
    """What came out, by split, region and bucket, and what the checks have left out."""
    checks = Counter(reason.split(":")[0] for line in left_out for reason in line["out"])
    splits = Counter(line["split"] for line in lines)
    return {
        "pictures": {
            "total": len(lines) + len(left_out),
            "kept": len(lines),
            "left_out": len(left_out),
            "without_prompt": sum(not line["prompt"] for line in lines),
        },
        "left_out_by": dict(checks.most_common()),
        "splits": {split: splits[split] for split in SPLITS},
        "regions": dict(Counter(name for line in lines for name in line["regions"]).most_common()),
        "buckets": dict(Counter(line["bucket"] for line in lines).most_common()),
    }


def print_summary(out, summary: dict) -> None:
    """Say what came of it, and where to look."""
    photos, rows, pictures = summary["photos"], summary["rows"], summary["pictures"]
    print(f"photos    {photos['total']}: {photos['used']} used, {photos['rejected']} rejected")
    if rows["total"]:
        print(
            f"rows      {rows['total']}: {rows['painted']} painted, {rows['words_only']} for words only, "
            f"{rows['rejected']} rejected"
        )
    print(f"pictures  {pictures['total']}: {pictures['kept']} kept, {pictures['left_out']} left out")
    for title in ("left_out_by", "splits", "regions", "buckets"):
        numbers = ", ".join(f"{name} {number}" for name, number in list(summary[title].items())[:12])
        print(f"{title.replace('_', ' '):<11} {numbers or 'none'}")
    if pictures["without_prompt"]:
        print(
            f"warning: {pictures['without_prompt']} pictures have no prompt and will train on the empty one"
        )
    if 2 * pictures["left_out"] > pictures["total"]:
        check = next(iter(summary["left_out_by"]))
        print(
            f"warning: most pictures are left out. If {check} does not suit them, run again with "
            f"--threshold {check}=off: that takes no time"
        )
    print(f"look at {out}/report.html; reasons are in rejected.csv and left_out.jsonl beside it")
