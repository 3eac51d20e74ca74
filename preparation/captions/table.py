"""The table of a training folder, prompt.json or metadata.jsonl; lines keep their order and their bytes."""

import json
from pathlib import Path

from jobs.whole_files import write_atomically
from pictures.pairs import TABLES, find_table, parse_lines
from preparation.captions.merge_columns import KINDS


class Table:
    """The lines of a folder's table; ValueError names one that is no item.

    `items` are the lines as tutorial_dataset.py reads them: `source`, `target`, `prompt` and more.
    """

    def __init__(self, folder):
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder: give a training folder, with a prompt.json")
        path = find_table(folder)
        if path is None:
            raise FileNotFoundError(
                f"{folder} has no {' or '.join(TABLES)}, into whose lines captions go: "
                f"python tool_prepare_data.py {folder} OUT makes a folder that has"
            )
        self.path, self.numbered = path, dict(parse_lines(path))
        for number, item in self.numbered.items():
            _check(path, number, item)
        if not self.numbered:
            raise ValueError(f"{path} has no lines to caption")
        self.items = list(self.numbered.values())

    def rewrite(self, change) -> None:
        """Write each line as `change(line)` has it, with `target` under that name, if that changes it.

        Lines that stay the same keep their bytes; so does a table of nothing but such lines.
        """
        content = self.path.read_bytes()
        lines = content.split(b"\n")
        for number, item in self.numbered.items():
            # the keys as the file spells them, not as the item does
            written = json.loads(lines[number - 1].decode("utf-8-sig", "replace"))
            changed = change(written | {"target": item["target"]})
            if "target" not in written:
                del changed["target"]
            if changed != written:
                end = b"\r" if lines[number - 1].endswith(b"\r") else b""
                lines[number - 1] = json.dumps(changed).encode() + end
        if (new := b"\n".join(lines)) != content:
            write_atomically(self.path, new)


def _check(path: Path, number: int, item: dict | str) -> None:
    if isinstance(item, str):
        raise ValueError(f"{path}, line {number}: {item}")
    for kind in KINDS:
        if not isinstance(item.get(kind, {}), dict):
            raise ValueError(
                f"{path}, line {number}: {kind} is {type(item[kind]).__name__}, wanted an object by column"
            )
