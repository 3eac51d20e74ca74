"""Maps of a folder that the demo offers as templates, beside the drawn ones."""

from pathlib import Path

from cldm.painting import read_map

SUFFIXES = ".png", ".bmp", ".webp"
MOST = 64


def read_templates(folder: Path | None, encoder, warn=print) -> list:
    """(region map uint8 (h, w), caption, whether the caption is a prompt) of the folder's pictures, by name.

    None is the folder `templates`, if there is one.
    A prompt stands in a text file of the picture's name. Files that are no maps, and what is beyond 64, are
    named to `warn`.
    """
    if folder is None and not (folder := Path("templates")).is_dir():
        return []
    if not folder.is_dir():
        raise FileNotFoundError(f"--templates {folder} is no folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    found = []
    for path in files:
        if len(found) == MOST:
            warn(f"{folder}: the first {MOST} maps of {len(files)} files are shown")
            break
        text = path.with_suffix(".txt")
        try:
            prompt = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
            found.append((read_map(path, encoder), prompt or path.stem.replace("_", " "), bool(prompt)))
        except ValueError as error:
            warn(f"{path} is no template: {error}")
    return found
