"""Notebooks and pages as people run them, in this process: their cells, their commands, one namespace."""

import json
import re
import shlex
import subprocess
import sys
from importlib import import_module

from sources import scripts

SCRIPTS = {script.name for script in scripts()}


def read_cells(notebook, kind="code") -> list[dict]:
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def code(cell) -> str:
    """The source of a cell, continued lines as one."""
    return join_lines("".join(cell["source"]))


def join_lines(text: str) -> str:
    return re.sub(r" *\\\n *", " ", text)


def as_python(source: str) -> str:
    """A cell's code, its lines `!COMMAND`, at any depth, as calls of `shell` with the command's template."""
    return re.sub(r"^(\s*)!(.+)$", lambda line: f"{line[1]}shell({line[2]!r})", source, flags=re.MULTILINE)


class Session:
    """One namespace in which cells run, as a notebook's kernel has it."""

    def __init__(self, monkeypatch):
        self.shown, self.patch = [], monkeypatch
        self.names = dict(__name__="__main__", shell=self.shell, display=self.display)

    def shell(self, template):
        """Run a command with {names} filled in."""
        self.call(shlex.split(template.format(**self.names)))

    def call(self, words: list[str]):
        """Run a command; scripts of ours in this process, where torch is loaded."""
        if words[0] == "python" and words[1] in SCRIPTS:
            self.patch.setattr(sys, "argv", words[1:])
            import_module(words[1].removesuffix(".py")).main()
        else:
            subprocess.run(words, check=True)

    def display(self, thing):
        self.shown.append(thing._repr_html_() if hasattr(thing, "_repr_html_") else thing.size)

    def run(self, source: str):
        exec(compile(as_python(source), "a cell", "exec"), self.names)
