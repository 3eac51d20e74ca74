"""The pictures for diffusers' train_controlnet.py, as an imagefolder of Hugging Face's `datasets`.

    OUT/imagefolder/train/metadata.jsonl, image/NAME.jpg, conditioning_image/NAME.png
    OUT/imagefolder/validation/..., OUT/imagefolder/test/...

A line of metadata.jsonl says `file_name`, `conditioning_image_file_name` and `text`; `datasets` >= 3.4 reads
them as the columns image, conditioning_image and text, which are the script's defaults:

    accelerate launch train_controlnet.py --pretrained_model_name_or_path SD15 --resolution 512
        --train_data_dir OUT/imagefolder --output_dir runs/diffusers

The script cuts every picture and map square and scales both bilinearly, which mixes the regions' colours
along their edges. Only pictures that are square and as large as --resolution pass unchanged: prepare the
folder with `--square --size 512`.
"""

import json
import os
import shutil
from pathlib import Path

from jobs.whole_files import remove_temporary, write_atomically

FOLDER = {"train": "train", "val": "validation", "test": "test"}
COLUMNS = {"file_name": ("image", "target"), "conditioning_image_file_name": ("conditioning_image", "source")}


def write_imagefolder(out: Path, lines: list[dict]) -> dict:
    """Make OUT/imagefolder hold the lines of prompt.json, by hard links to OUT/source and OUT/target.

    Linked pictures take no space of their own, and are the same file: edit one by replacing it. Where the
    file system has no hard links they are copied. Run again, it adds, renews and removes what has changed; no
    metadata.jsonl ever names a file that is missing.
    Returns:
        pictures by split, and `linked` and `copied`: how many files were made in which way, now.
    """
    out = Path(out)
    root, made, wanted = out / "imagefolder", {"linked": 0, "copied": 0}, set()
    splits = {split: [line for line in lines if line["split"] == split] for split in FOLDER}
    for split, members in splits.items():
        metadata = []
        for line in members:
            entry = {}
            for column, (column_folder, key) in COLUMNS.items():
                name = f"{column_folder}/{Path(line[key]).name}"
                wanted.add(root / FOLDER[split] / name)
                _place(out / line[key], root / FOLDER[split] / name, made)
                entry[column] = name
            metadata.append(json.dumps(entry | {"text": line["prompt"]}) + "\n")
        if members:
            path = root / FOLDER[split] / "metadata.jsonl"
            wanted.add(path)
            write_atomically(path, "".join(metadata).encode())
    _remove_others(root, wanted)
    return {split: len(members) for split, members in splits.items()} | made


def _place(original: Path, path: Path, made: dict) -> None:
    """Have the original's bytes at the path, counting what it took; nothing where they are there already."""
    if path.exists():
        ours, theirs = path.stat(), original.stat()
        if os.path.samestat(ours, theirs):
            return
        if (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns):
            return
    path.parent.mkdir(parents=True, exist_ok=True)

    def link(temporary):
        try:
            os.link(original, temporary)
            made["linked"] += 1
        except OSError:
            # another device, or a file system without hard links or with too many of this file
            shutil.copy2(original, temporary)
            made["copied"] += 1

    write_atomically(path, link)


def _remove_others(root: Path, wanted: set[Path]) -> None:
    """Remove the files that are not wanted, what a killed run left behind among them, then empty folders."""
    tops = [root / split for split in FOLDER.values()]
    # metadata.jsonl of a split without pictures goes before the pictures that it names
    folders = [top / column for column in (".", "image", "conditioning_image") for top in tops]
    for folder in folders:
        remove_temporary(folder)
    for path in [path for folder in folders if folder.is_dir() for path in folder.iterdir()]:
        if path.is_file() and path not in wanted:
            path.unlink()
    for folder in reversed(folders):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
