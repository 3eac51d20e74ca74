"""From a raw iMaterialist folder to a training folder: source/ maps, target/ photos, prompt.json."""

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from annotator.files import write_atomically
from annotator.parallel import run_jobs

from .annotations import Rejection, Row
from .pictures import file_names, prepare_picture
from .regions import REGIONS_FILE, Regions, standard_regions
from .table import index_annotations, read_rows
from .words import garment_words


@dataclass
class Annotations:
    images: dict[str, list[Row]]
    rejected: list[Rejection]


def read_annotations(train_csv, label_descriptions) -> Annotations:
    index = index_annotations(train_csv, label_descriptions)
    found = Annotations({}, list(index.rejected))
    for image, places in index.places.items():
        rows, rejected = read_rows(train_csv, places)
        found.rejected += rejected
        if rows:
            found.images[image] = rows
    return found


def read_csv(path, check_columns):
    """(line, {column: text}) of each row of a csv file, once `check_columns(path, columns)` has passed."""
    # spreadsheets begin the file with a byte order mark
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            check_columns(path, reader.fieldnames or [])
            for entry in reader:
                yield reader.line_num, entry
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} must be a csv file in UTF-8: {error}") from error


def read_captions(path: Path) -> dict[str, str]:
    """Caption by image, from a csv with the columns ImageId and caption; of doubles the first counts."""
    if not path.exists():
        return {}
    captions = {}
    for _, entry in read_csv(path, _check_caption_columns):
        text = (entry["caption"] or "").strip()
        if text:
            captions.setdefault(entry["ImageId"], text)
    return captions


def _check_caption_columns(path, columns: list[str]) -> None:
    if not {"ImageId", "caption"} <= set(columns):
        raise ValueError(f"{path} must have the columns ImageId and caption, it has {', '.join(columns)}")


def split_of(image: str, val_fraction: float, seed: int) -> str:
    """train or val, by a hash of the image's name: more or fewer images move none of the others."""
    digest = hashlib.sha256(f"{seed}:{image}".encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < val_fraction * 2**64 else "train"


def build_training_folder(
    raw, out, table="official", size: int | None = None, val_fraction=0.05, seed=0, workers=1
) -> dict:
    """Turn a raw iMaterialist folder (train.csv, label_descriptions.json, train/) into a training folder.

    Run it again to go on after an interruption, or after correcting maps by hand: files that are there stay.

    Args:
        table: of regions.yaml, official or legacy.
        size: side of the pictures, cut square around the garments; None keeps every photo's own size.
        val_fraction: share of the images whose `split` is val; `seed` draws them.
        workers: processes.
    Returns:
        the summary that is also printed: images, kept, rejected, train, val, and regions {name: images}.
    """
    raw, out = Path(raw), Path(out)
    _check_options(raw, table, size, val_fraction)
    found = read_annotations(raw / "train.csv", raw / "label_descriptions.json")
    captions = read_captions(raw / "captions.csv")
    _open_folder(out, {"table": table, "size": size})
    spoilt = {rejection.image for rejection in found.rejected}
    # a map that lacks one of its garments would teach that garments may be ignored
    images = {image: rows for image, rows in found.images.items() if image not in spoilt}
    rejected, records = list(found.rejected), []
    jobs = ((raw, out, rows, table, size) for rows in images.values())
    for image, result in zip(images, run_jobs(prepare_picture, jobs, workers), strict=True):
        if isinstance(result, str):
            rejected.append(Rejection(image, 0, result))
        else:
            split = split_of(image, val_fraction, seed)
            records.append(_record(image, result, found, captions, split))
        if (len(records) + len(rejected)) % 1000 == 0:
            print(f"{out}: {len(records)} pictures of {len(images)}", flush=True)
    rejected += _unannotated(raw, found, spoilt)
    _write_tables(raw, out, records, rejected)
    return _summary(out, records, rejected)


def _check_options(raw: Path, table: str, size: int | None, val_fraction: float) -> None:
    Regions.read(table=table)
    if size is not None and (size < 64 or size % 64):
        raise ValueError(f"size must be a multiple of 64, got {size}")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must lie in [0, 1), got {val_fraction}")
    for name in ("train.csv", "label_descriptions.json", "train"):
        if not (raw / name).exists():
            raise FileNotFoundError(f"{raw / name} is missing: a raw iMaterialist folder holds it")


def _open_folder(out: Path, settings: dict) -> None:
    """Make the folders; a folder that was made with other settings is refused."""
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise ValueError(
            f"{out} was made with {path.read_text()}, not {json.dumps(settings)}: give another folder"
        )
    for name in ("source", "target"):
        (out / name).mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(settings).encode())


def _record(image: str, result, found: Annotations, captions: dict, split: str) -> dict:
    """The line of prompt.json: what the original reads, then what we know besides."""
    regions, size = result
    source, target = file_names(image)
    texts = {"caption": captions[image]} if image in captions else {}
    texts["garments"] = garment_words(found.images[image])
    names = standard_regions().names
    return {
        "source": source,
        "target": target,
        "prompt": texts.get("caption") or texts["garments"],
        "captions": texts,
        "size": list(size),
        "regions": [names[region] for region in regions],
        "split": split,
    }


def _unannotated(raw: Path, found: Annotations, spoilt: set[str]) -> list[Rejection]:
    known = found.images.keys() | spoilt
    names = sorted(path.name for path in (raw / "train").iterdir() if not path.name.startswith("."))
    return [Rejection(name, 0, "train.csv has no row for it") for name in names if name not in known]


def _write_tables(raw: Path, out: Path, records: list[dict], rejected: list[Rejection]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "line", "reason"])
    writer.writerows([r.image, r.line, r.reason] for r in rejected)
    write_atomically(out / "rejected.csv", text.getvalue().encode())
    write_atomically(out / "regions.yaml", REGIONS_FILE.read_bytes())
    if (raw / "dolls.jsonl").exists():
        # what paper dolls wear in which colour: to measure whether pictures follow their prompts
        shutil.copyfile(raw / "dolls.jsonl", out / "dolls.jsonl")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_atomically(out / "prompt.json", lines.encode())


def _summary(out: Path, records: list[dict], rejected: list[Rejection]) -> dict:
    splits = Counter(record["split"] for record in records)
    images = {r.image for r in rejected}
    summary = {
        "images": len(records) + len(images),
        "kept": len(records),
        "rejected": len(images),
        "train": splits["train"],
        "val": splits["val"],
        "regions": dict(Counter(name for record in records for name in record["regions"])),
    }
    reasons = f", reasons in {out / 'rejected.csv'}" if rejected else ""
    print(
        f"{out}: {summary['kept']} of {summary['images']} images kept ({splits['train']} train, "
        f"{splits['val']} val), {summary['rejected']} rejected{reasons}; regions {summary['regions']}"
    )
    return summary
