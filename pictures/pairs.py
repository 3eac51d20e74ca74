"""Pairs of a map and a picture, as lines of a table or as two folders."""

import json
import os
from pathlib import Path, PurePosixPath

KEYS = {
    "source": ("source", "conditioning_image", "conditioning_image_file_name", "mask", "hint"),
    "target": ("target", "image", "image_file_name", "file_name"),
    "prompt": ("prompt", "text", "caption"),
}
TABLES = ("prompt.json", "metadata.jsonl")
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
WANTED = '{"source": map, "target": picture, "prompt": text}'


def read_items(path) -> tuple[Path, list[dict]]:
    """The folder that file names start from, and items dict(source, target, prompt, ...) of file names.

    `path` is a folder with prompt.json (fill50k as published, or a training folder) or metadata.jsonl, a
    .jsonl file, whose lines may also say conditioning_image, image, text and the like, or a folder of images/
    and masks/ with a file of one name in each. ValueError names a line that is no item, or a lonely file.
    """
    path = Path(path)
    table = find_table(path)
    if table:
        items = []
        for number, item in parse_lines(table):
            if isinstance(item, str):
                raise ValueError(f"{table}, line {number}: {item}")
            items.append(item)
        return table.parent, items
    if (path / "images").is_dir() and (path / "masks").is_dir():
        pairs, alone = match_pairs(path)
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise ValueError(
                f"{path}: {alone[0][0]}: {alone[0][1]}{more}. tool_prepare_data.py leaves such out"
            )
        return path, pairs
    raise FileNotFoundError(
        f"{path} is no training folder: it has no prompt.json, no images/ and masks/, and is no .jsonl"
    )


def find_table(path: Path) -> Path | None:
    """The file whose lines are items: a .jsonl file itself, or a folder's."""
    tables = [path] if path.suffix in (".jsonl", ".json") else [path / name for name in TABLES]
    return next((table for table in tables if table.is_file()), None)


def parse_lines(table: Path):
    """(number, item) of each line of a table; where a line is no item, the reason (str) instead."""
    for number, _, item in parse_content(table.read_bytes()):
        yield number, item


def parse_content(content: bytes):
    """(number, fields, item) of each line of a table's bytes: fields as the line spells them, and its item.

    Where a line is no item, the reason (str) comes instead of that.
    """
    for number, line in enumerate(content.decode("utf-8-sig", "replace").split("\n"), 1):
        if line.strip():
            yield number, *_parse_line(line)


def _parse_line(line: str) -> tuple[dict, dict | str]:
    fields = {}
    try:
        fields = json.loads(line)
        item = {key: next(fields[name] for name in names if name in fields) for key, names in KEYS.items()}
        wrong = not all(isinstance(text, str) for text in item.values())
        # half a pair of surrogates is text that no file takes
        json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, TypeError, StopIteration, RecursionError):
        wrong = True
    if wrong:
        return fields, f"wanted {WANTED}, got {line[:60]!r}"
    item, size = {**fields, **item}, fields.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        # not [height, width]: something else of another's table
        item.pop("size", None)
    return fields, item


def match_pairs(folder: Path) -> tuple[list[dict], list[tuple[str, str]]]:
    """Items of images/ and masks/ with equal names, and (file, reason) of those that have no partner.

    Sub-folders are part of a name. The prompt is in a .txt file of that name beside the picture, or empty.
    """
    images, masks = (_by_stem(folder / name) for name in ("images", "masks"))
    pairs, alone = [], []
    for side, files, others in (("images", images, masks), ("masks", masks, images)):
        other = "masks" if side == "images" else "images"
        for stem, names in files.items():
            alone += [(f"{side}/{name}", f"{side}/{names[0]} has the same name") for name in names[1:]]
            if stem not in others:
                alone.append((f"{side}/{names[0]}", f"{other}/ has no file {stem}"))
    for stem in images.keys() & masks.keys():
        target = f"images/{images[stem][0]}"
        text = (folder / target).with_suffix(".txt")
        prompt = text.read_text(encoding="utf-8-sig", errors="replace").strip() if text.is_file() else ""
        pairs.append({"source": f"masks/{masks[stem][0]}", "target": target, "prompt": prompt})
    return sorted(pairs, key=lambda pair: pair["target"]), sorted(alone)


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """Pictures of a folder and those in it, by their path there without its suffix: "shirts/1"."""
    files: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.suffix.lower() in PICTURES and not any(part.startswith(".") for part in place.parts):
            # a name that is no UTF-8 is listed with its bytes spelt out, as a file that is missing
            name = os.fsencode(place.as_posix()).decode(errors="backslashreplace")
            files.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(name)
    return files
