"""The tour's notebook runs from its first cell to its last, and the tour's pages name commands that exist."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest

from sources import ROOT, scripts

SCRIPTS = {script.name for script in scripts()}
LARGE = shutil.ignore_patterns("*.ckpt", "annotators", "v1-*", "v2-*", "control_*")
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
PAGES = [NOTEBOOK, ROOT / "docs" / "tour.md", ROOT / "docs" / "for_designers.md"]
REDUCED = dict(TOUR_INSTALL="no", TOUR_DOLLS="24", TOUR_STEPS="2", TOUR_MAPS="1", OMP_NUM_THREADS="1")


def cells(kind):
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def as_python(source):
    """A cell's code, its lines `!COMMAND`, at any depth, as calls of `shell` with the command's template."""
    return re.sub(r"^(\s*)!(.+)$", lambda line: f"{line[1]}shell({line[2]!r})", source, flags=re.MULTILINE)


def code(cell):
    """The source of a cell, continued lines as one."""
    return re.sub(r" *\\\n *", " ", "".join(cell["source"]))


class Session:
    """One namespace in which cells run, as a notebook's kernel has it."""

    def __init__(self, monkeypatch):
        self.shown, self.patch = [], monkeypatch
        self.names = dict(__name__="__main__", shell=self.shell, display=self.display)

    def shell(self, template):
        """Run a command with {names} filled in; scripts of ours in this process, where torch is loaded."""
        words = shlex.split(template.format(**self.names))
        if words[0] == "python" and words[1] in SCRIPTS:
            self.patch.setattr(sys, "argv", words[1:])
            import_module(words[1].removesuffix(".py")).main()
        else:
            subprocess.run(words, check=True)

    def display(self, thing):
        self.shown.append(thing._repr_html_() if hasattr(thing, "_repr_html_") else thing.size)

    def run(self, source):
        exec(compile(as_python(source), str(NOTEBOOK), "exec"), self.names)


@pytest.fixture
def session(monkeypatch):
    """A session of reduced size, nothing of which outlives the test."""
    for name, value in {**REDUCED, "PATH": os.environ["PATH"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(os.getcwd())  # cells change it
    return Session(monkeypatch)


def test_the_notebook_runs_from_its_first_cell_to_its_last(session, tmp_path):
    # what lies around a notebook, without anything made there; its kernel starts in its own folder
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=LARGE)
    (tmp_path / "docs").mkdir()
    for script in SCRIPTS:
        shutil.copy(ROOT / script, tmp_path)
    os.chdir(tmp_path / "docs")
    for cell in cells("code"):
        session.run(code(cell))
    pages = [thing for thing in session.shown if isinstance(thing, str)]
    assert len(pages) == 2 and all("mIoU" in page for page in pages)
    assert len(list((tmp_path / "generated" / "mine").glob("0*.png"))) == 4
    assert len(session.shown) == 7 and (tmp_path / "runs" / "tour" / "control.safetensors").is_file()


@pytest.mark.skipif(shutil.which("git") is None, reason="clones with git")
def test_a_notebook_outside_the_repository_clones_it_or_asks_for_its_address(session, tmp_path):
    first, there, here = code(cells("code")[0]), tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    os.chdir(here)
    with pytest.raises(ValueError, match="set REPOSITORY above to its address"):
        session.run(first)
    shutil.copy(ROOT / "tool_generate.py", there)
    git = ["git", "-C", str(there), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run(git + words, check=True)
    session.run(first.replace('REPOSITORY = ""', f"REPOSITORY = {there.as_uri()!r}"))
    assert os.getcwd() == str(here / "garment-controlnet") == sys.path[0]


def test_the_notebook_keeps_no_outputs():
    kept = [cell["id"] for cell in cells("code") if cell["outputs"] or cell["execution_count"] is not None]
    assert len(cells("code")) > 5 and not kept


@cache
def options_of(script):
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{script} --help: {done.stderr}"
    return set(map(spell, re.findall(r"--[a-z][a-z-]*|[a-z_]+(?==)", done.stdout)))


def spell(option):
    """--key-of-two and key_of_two are one."""
    return option.lstrip("-").replace("-", "_")


def commands(path):
    """The words of each command `python SCRIPT ...` of a notebook's cells or a page's blocks and lines."""
    text = path.read_text(encoding="utf-8")
    if path == NOTEBOOK:
        text = "\n".join(map(code, cells("code")))
    found = re.findall(r"(?:^ {4}|^\s*!|`)python ([\w/]+\.py[^`\n]*)", text, flags=re.MULTILINE)
    return [shlex.split(command, comments=True) for command in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    for script, *words in commands(page):
        assert (ROOT / script).is_file(), script
        options = {spell(word.split("=")[0]) for word in words if word.startswith("--") or "=" in word}
        unknown = options and options - options_of(script)
        assert not unknown, f"{page.name}: {script} {unknown}"
    assert commands(page)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_pictures_and_pages_that_are_linked_exist(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
    assert links and not [link for link in links if "://" not in link and not (page.parent / link).exists()]
