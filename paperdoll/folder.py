"""Write dolls as a raw iMaterialist folder: train.csv, label_descriptions.json, train/*.jpg, and captions."""

import csv
import io
import json
import shutil
from pathlib import Path

from PIL import Image

from annotator.imaterialist import LABELS_FILE
from annotator.imaterialist.rle import rle_encode
from jobs.parallel import run_jobs
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from paperdoll.doll import draw

CHUNK = 256
VERSION = 2  # of what is drawn: the same seed and index gave other dolls before


def _write_chunk(folder: Path, indices: list[int], seed: int, size: int) -> int:
    """Draw some dolls: their photos, then, as the sign that all are there, their rows. Returns how many."""
    rows = []
    for index in indices:
        doll = draw(seed, index, size)
        name = f"doll_{seed}_{index:07d}.jpg"
        photo = io.BytesIO()
        Image.fromarray(doll.photo).save(photo, "JPEG", quality=95, subsampling=0)
        write_atomically(folder / "train" / name, photo.getvalue())
        garments = [
            {"category": i.class_id, "attributes": i.attributes, "colour": i.colour, "region": i.region}
            for i in doll.instances
        ]
        masks = [
            [rle_encode(i.mask), size, size, "_".join(map(str, (i.class_id, *i.attributes)))]
            for i in doll.instances
        ]
        rows.append({"image": name, "caption": doll.caption, "instances": garments, "masks": masks})
    data = "\n".join(map(json.dumps, rows))
    write_atomically(folder / ".rows" / f"{indices[0]:07d}.jsonl", data.encode())
    return len(indices)


def _csv(header: list[str], rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _finish(folder: Path, settings: dict, chunks: list[list[int]]) -> None:
    """Join the chunks' rows into the folder's tables; paperdoll.json comes last and says it is complete."""
    texts = [(folder / ".rows" / f"{c[0]:07d}.jsonl").read_text().splitlines() for c in chunks]
    dolls = [json.loads(line) for lines in texts for line in lines]
    masks = [[d["image"], *mask] for d in dolls for mask in d.pop("masks")]
    header = ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
    write_atomically(folder / "train.csv", _csv(header, masks))
    captions = [[d["image"], d["caption"]] for d in dolls]
    write_atomically(folder / "captions.csv", _csv(["ImageId", "caption"], captions))
    write_atomically(folder / "dolls.jsonl", "".join(json.dumps(d) + "\n" for d in dolls).encode())
    write_atomically(folder / "label_descriptions.json", LABELS_FILE.read_bytes())
    write_atomically(folder / "paperdoll.json", json.dumps(settings).encode())
    shutil.rmtree(folder / ".rows")


def _check_settings(folder: Path, settings: dict) -> bool:
    """Whether the folder is complete already; ValueError if it holds other dolls or other files."""
    for path in (folder / "paperdoll.json", folder / ".rows" / "settings.json"):
        if path.exists():
            found = json.loads(path.read_text())
            if found != settings:
                raise ValueError(f"{folder} holds dolls of {found}, not {settings}: give another folder")
            return path.name == "paperdoll.json"
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no paper dolls: give another folder")
    return False


def make_dolls(
    folder,
    num_images: int,
    seed: int = 0,
    size: int = 128,
    start: int = 0,
    workers: int = 1,
) -> Path:
    """Write dolls start ... start + num_images - 1 of a seed as a raw iMaterialist folder, and return it.

    A complete folder of the same dolls is left alone, a partial one is completed. Beside iMaterialist's
    files: captions.csv (ImageId, caption) and dolls.jsonl, which adds category, attributes, colour and region
    of every instance. workers > 1 draws in that many processes.
    """
    if num_images < 1 or size < 32 or start < 0:
        raise ValueError(f"wanted num_images >= 1, size >= 32, start >= 0; got {num_images}, {size}, {start}")
    folder = Path(folder)
    settings = {"version": VERSION, "seed": seed, "num_images": num_images, "size": size, "start": start}
    if _check_settings(folder, settings):
        print(f"{folder}: all {num_images} dolls are there already")
        return folder
    for name in ("train", ".rows"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ".rows" / "settings.json", json.dumps(settings).encode())
    indices = range(start, start + num_images)
    chunks = [list(indices[i : i + CHUNK]) for i in range(0, num_images, CHUNK)]
    missing = [c for c in chunks if not (folder / ".rows" / f"{c[0]:07d}.jsonl").exists()]
    progress = Progress(str(folder), num_images, "dolls", num_images - sum(map(len, missing)))
    for num_written in run_jobs(_write_chunk, ((folder, c, seed, size) for c in missing), workers):
        progress.add(num_written)
    _finish(folder, settings, chunks)
    return folder
