"""Pairs of a map and a picture, as lines of a table or as two folders."""

import json
import os
from pathlib import Path, PurePosixPath

from pictures.texts import MARK, decode_text, is_utf_16, read_text

KEYS = {
    "source": ("source", "conditioning_image", "conditioning_image_file_name", "mask", "hint"),
    "target": ("target", "image", "image_file_name", "file_name"),
    "prompt": ("prompt", "text", "caption"),
}
TABLES = ("prompt.json", "metadata.jsonl")
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SPLITS = ("train", "val", "test")
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
            try:
                items.append(_check_split(item))
            except ValueError as error:
                raise ValueError(f"{table}, line {number}: {error}") from error
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

    Where a line is no item, the reason (str) comes instead of that; where none can be one, as in a JSON array
    or in UTF-16, it comes once.
    """
    start = content.removeprefix(MARK)[:99].lstrip()
    if start.startswith(b"["):
        yield 1, {}, f"the file is a JSON array: write {WANTED} a line, without brackets and commas"
    elif is_utf_16(content):
        yield 1, {}, "the file is in UTF-16 or no text: save it as UTF-8"
    else:
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                yield number, *_parse_line(line)


def _parse_line(line: bytes) -> tuple[dict, dict | str]:
    fields = {}
    try:
        fields = _parse_object(decode_text(line))
        item = {key: _text_of(fields, key, names) for key, names in KEYS.items()}
    except (ValueError, RecursionError) as error:
        said = error if type(error) is ValueError else "is no JSON"
        return fields, f"wanted {WANTED}, got {line.decode(errors='replace')[:60]!r}, which {said}"
    item, size = {**fields, **item}, fields.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        # not [height, width]: something else of another's table
        item.pop("size", None)
    return fields, item


def _parse_object(text: str) -> dict:
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("is no object")
    # half a pair of surrogates is text that no file takes
    json.dumps(fields, ensure_ascii=False).encode()
    return fields


def _text_of(fields: dict, key: str, names: tuple[str, ...]) -> str:
    """The text that a line gives for `key`, under the first of its names that the line has."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise ValueError(f"lacks {key}")
    text = fields[name]
    if not isinstance(text, str) or "\0" in text or (key != "prompt" and not text):
        wanted = "a text" if key == "prompt" else "a file's name"
        raise ValueError(f"has {text!r:.60} for {name}, where {wanted} is wanted")
    return text


def _check_split(item: dict) -> dict:
    """The item, without a split that is null; ValueError for a word that no part of the data goes by."""
    if "split" in item and item["split"] not in SPLITS:
        if item["split"] is not None:
            raise ValueError(f"split must be {', '.join(SPLITS)} or left out, got {item['split']!r}")
        del item["split"]
    return item


def check_sizes(item: dict, source, target) -> None:
    """Raise ValueError unless map and photo (H, W, 3) have one size, which trains and which the line says."""
    (h, w), (height, width) = source.shape[:2], target.shape[:2]
    said, remedy = item.get("size", [height, width]), "tool_prepare_data.py"
    if (h, w) != (height, width):
        pair = f"{item['source']} is {h} x {w}, {item['target']} is {height} x {width}"
        raise ValueError(f"{pair}: {remedy} brings pairs to one size")
    if height % 64 or width % 64:
        raise ValueError(
            f"{item['source']} is {height} x {width}: sides must be multiples of 64, as {remedy} makes them"
        )
    if [height, width] != said:
        raise ValueError(f"{item['target']} is {height} x {width}, its line says {said[0]} x {said[1]}")


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
        try:
            prompt = read_text(text).strip() if text.is_file() else ""
        except (OSError, ValueError) as error:
            alone.append((target, f"its prompt can't be read: {error}"))
            continue
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
