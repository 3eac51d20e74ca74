"""People in prepared pictures whose clothes nobody annotated, found by a detector in a local folder."""

import hashlib
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from jobs.progress import Progress
from jobs.whole_files import write_atomically
from pictures.decoding import read_photo
from preparation.grounded_people import GroundedPersonDetector, is_grounding_dino
from preparation.record import Record

WANTED = (
    "a person detector is a folder of config.json, preprocessor_config.json and model.safetensors, as any "
    "DETR, YOLOS or RT-DETR checkpoint trained on COCO has them (hustvl/yolos-tiny, say), downloaded "
    "elsewhere, or one of Grounding DINO (IDEA-Research/grounding-dino-tiny); without a detector, people "
    "whom nobody annotated are guessed by the colour of skin"
)
CONFIDENT = 0.7
# a person of whose box garments' boxes cover less than this share is nobody that was annotated
COVERED = 0.1
CHUNK, BATCH = 256, 8


@dataclass
class PersonDetector:
    """Any object-detection model of transformers that knows the label `person`."""

    model: Any
    processor: Any
    person: int
    device: Any

    @classmethod
    def load(cls, folder, device: str = "cpu"):
        """The detector of a folder, with person_label's errors; `auto` is an accelerator or the CPU."""
        person = person_label(folder)
        import torch
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        if device == "auto":
            device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
        model = AutoModelForObjectDetection.from_pretrained(folder, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        return cls(model.eval().to(device), processor, person, device)

    def detect(self, images: list) -> list:
        """The people in each of some pictures uint8 (h, w, 3), RGB: float32 (n, 5).

        A row is left, top, right, bottom in pixels and the score, in [CONFIDENT, 1].
        """
        import torch

        inputs = self.processor(images=images, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        sizes = [image.shape[:2] for image in images]
        found = self.processor.post_process_object_detection(outputs, CONFIDENT, target_sizes=sizes)
        people = []
        for one in found:
            mine = one["labels"] == self.person
            rows = torch.cat([one["boxes"][mine], one["scores"][mine, None]], dim=1)
            people.append(rows.float().cpu().numpy())
        return people


def load_detector(folder, device: str = "cpu"):
    """The detector of a folder, with check_detector's errors."""
    return (GroundedPersonDetector if is_grounding_dino(folder) else PersonDetector).load(folder, device)


def check_detector(folder) -> None:
    """Raise FileNotFoundError for a folder that lacks a file, ValueError for a detector of other things."""
    if is_grounding_dino(folder):
        GroundedPersonDetector.check(folder)
    else:
        person_label(folder)


def person_label(folder) -> int:
    """The number of the label `person` of a detector, read without loading it.

    Raises FileNotFoundError for a folder that lacks a file, ValueError for a detector of other things.
    """
    folder = Path(folder)
    weights_file(folder)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: {WANTED}")
    labels = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})
    people = [int(number) for number, label in labels.items() if label.lower() == "person"]
    if not people:
        listed = ", ".join(list(labels.values())[:10]) or "none"
        raise ValueError(f"{folder} knows no label person, its labels are {listed}: {WANTED}")
    return people[0]


def weights_file(folder: Path) -> Path:
    """The file of weights in a detector's folder; FileNotFoundError says what is wanted if there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: {WANTED}")
    for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has no model.safetensors: {WANTED}")


def detect_unlabelled(out, records: list[Record], detector_folder, device: str = "cpu") -> dict[str, float]:
    """The largest share of each picture that a person without garments takes, by the records' names.

    People found are kept in OUT/.prepare/people_*.jsonl, one file for each detector, so that an interrupted
    search goes on where it was; pictures that have changed since are searched again.
    """
    path = Path(out) / ".prepare" / f"people_{identity(detector_folder)}.jsonl"
    found = _read(path)
    missing = [r for r in records if found.get(r.name, {}).get("crc") != r.target_crc]
    if missing:
        detector = load_detector(detector_folder, device)
        progress = Progress(f"{out}: people", len(records), "pictures", len(records) - len(missing))
        missing.sort(key=lambda record: (record.size, record.name))
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        for record, people in zip(chunk, _search(out, chunk, detector), strict=True):
            rows = [[round(float(value), 3) for value in row] for row in people]
            found[record.name] = {"name": record.name, "crc": record.target_crc, "people": rows}
        lines = (json.dumps(found[name]) + "\n" for name in sorted(found))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "".join(lines).encode())
        progress.add(len(chunk))
    return {r.name: largest_unlabelled(found[r.name]["people"], r.boxes, r.size) for r in records}


def identity(detector_folder) -> str:
    """What tells one detector from another: a hash of its weights file's name and size."""
    weights = weights_file(Path(detector_folder))
    return hashlib.sha256(f"{weights.name} {weights.stat().st_size}".encode()).hexdigest()[:12]


def _read(path: Path) -> dict[str, dict]:
    if not path.is_file():
        return {}
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {entry["name"]: entry for entry in entries}


def _search(out, records: list[Record], detector) -> list:
    """People in the records' pictures, which are batched by size: nothing is padded."""
    people = []
    for _, same_size in groupby(records, key=lambda record: record.size):
        targets = [Path(out) / record.target for record in same_size]
        for start in range(0, len(targets), BATCH):
            images = [read_photo(path) for path in targets[start : start + BATCH]]
            people += detector.detect(images)
    return people


def largest_unlabelled(people: list, boxes: list, size) -> float:
    """The largest share of a picture that a person takes whose box the garments' boxes hardly cover.

    Args:
        people: rows of left, top, right, bottom and score, in pixels.
        boxes: garments' rows of left, top, right, bottom and region, in pixels.
        size: height and width.
    """
    garments = np.zeros(size, bool)
    for left, top, right, bottom, _ in boxes:
        garments[round(top) : round(bottom), round(left) : round(right)] = True
    shares = [0.0]
    for person in people:
        left, top, right, bottom = (max(0, round(side)) for side in person[:4])
        box = garments[top:bottom, left:right]
        if box.size and box.mean() < COVERED:
            shares.append(box.size / garments.size)
    return round(max(shares), 4)
