"""The tours' notebooks run from first cell to last, and the tours' pages name commands that exist."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from functools import cache, partial

import pytest

from notebook_session import SCRIPTS, Session, code, join_lines, read_cells
from paperdoll import tryon_folders
from sources import ROOT

LARGE = shutil.ignore_patterns("*.ckpt", "annotators", "v1-*", "v2-*", "*_ini.*")
NOTEBOOKS = CONTROL, TRYON = [ROOT / "docs" / name for name in ("tour.ipynb", "tour_tryon.ipynb")]
DESIGNERS = [ROOT / "docs" / name for name in ("for_designers.md", "for_designers_tryon.md")]
PAGES = [ROOT / "docs" / "tour.md", ROOT / "docs" / "tour_tryon.md", *DESIGNERS]
REDUCED = dict(TOUR_INSTALL="no", TOUR_DOLLS="24", TOUR_STEPS="2", TOUR_MAPS="1", TOUR_TESTS="2")
# of the tour of try-on: what a command gets besides, so that it takes seconds
BESIDES = {
    "tutorial_train.py": "max_steps=2 measure_maps=2 sampling_steps=1",
    "tool_generate.py": "--sampling-steps 1",
    "tool_evaluate.py": "--sampling-steps 1",
}


@pytest.fixture
def session(monkeypatch):
    """A session of reduced size, nothing of which outlives the test."""
    for name, value in {**REDUCED, "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(os.getcwd())  # cells change it
    return Session(monkeypatch)


@pytest.fixture
def fresh(tmp_path):
    """What lies around a notebook, without anything made there; its kernel starts in its own folder."""
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=LARGE)
    (tmp_path / "docs").mkdir()
    for script in SCRIPTS:
        shutil.copy(ROOT / script, tmp_path)
    os.chdir(tmp_path / "docs")
    return tmp_path


def run_all(session, notebook):
    """The pages that a notebook's cells show."""
    for cell in read_cells(notebook):
        session.run(code(cell))
    return [thing for thing in session.shown if isinstance(thing, str)]


def test_the_notebook_of_maps_runs_from_its_first_cell_to_its_last(session, fresh):
    pages = run_all(session, CONTROL)
    assert len(pages) == 2 and all("mIoU" in page for page in pages)
    assert len(list((fresh / "generated" / "mine").glob("0*.png"))) == 4
    assert len(session.shown) == 7 and (fresh / "runs" / "tour" / "control.safetensors").is_file()


def test_the_notebook_of_try_on_runs_from_its_first_cell_to_its_last(session, fresh):
    _, *pages = run_all(session, TRYON)
    assert len(pages) == 2 and all("garment@16" in page for page in pages)
    assert len(list((fresh / "generated" / "tour_worn").glob("test_*.png"))) == 2
    assert len(session.shown) == 10 and (fresh / "runs" / "tour_tryon" / "tryon.safetensors").is_file()


def steps_of(page):
    """The commands and the blocks of Python of a page, as they stand there."""
    text = join_lines(page.read_text(encoding="utf-8"))
    pattern = r"^```python\n(?P<code>.*?)^```|^ {4}(?P<command>(?:python|make) [^\n]*)"
    found = re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    return [step["code"] or shlex.split(step["command"], comments=True) for step in found]


def made_by(target):
    """The command that `make TARGET` runs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^{target}:.*\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    return shlex.split(command)


def test_every_command_of_the_tour_of_try_on_runs(session, fresh, monkeypatch):
    """As the page has them, one after the other, with few dolls and steps; the fitting room opens no port."""
    draw, opened = tryon_folders.make_viton_hd, []
    few = partial(_draw_few, draw)
    monkeypatch.setattr(tryon_folders, "make_viton_hd", few)
    monkeypatch.setattr("demo.start.prepare_server", lambda: None)
    monkeypatch.setattr("demo.serve.serve", lambda page, *_, **__: opened.append(page))
    os.chdir(fresh)
    for step in steps_of(PAGES[1]):
        run_step(session, step)
    assert len(opened) == 1
    for made in ("runs/tryon_dolls/report.html", "dressed_1.png", "runs/unpaired/evaluation.html"):
        assert (fresh / made).is_file(), made
    for folder in ("fittings", "cut"):
        assert (fresh / "generated" / folder / "sheet.png").is_file(), folder


def _draw_few(draw, folder, num_train, num_test, **options):
    return draw(folder, 8, 2, **options)


def run_step(session, step):
    """A block of Python as it is; a command, with what makes it quick."""
    if isinstance(step, str):
        return session.run(step)
    script, *words = made_by(step[1])[1:] if step[0] == "make" else step[1:]
    if script == "-c":
        return session.run(words[0])
    besides = [] if "--report" in words else BESIDES.get(script, "").split()
    try:
        return session.call(["python", script, *words, *besides])
    except SystemExit as end:
        assert not end.code, (script, end.code)


@pytest.mark.skipif(shutil.which("git") is None, reason="clones with git")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_a_notebook_outside_the_repository_clones_it_or_asks_for_its_address(session, tmp_path, notebook):
    first, there, here = code(read_cells(notebook)[0]), tmp_path / "there", tmp_path / "here"
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


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_the_notebook_keeps_no_outputs(notebook):
    cells = read_cells(notebook)
    kept = [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None]
    assert len(cells) > 5 and not kept


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
    if path in NOTEBOOKS:
        text = "\n".join(map(code, read_cells(path)))
    found = re.findall(r"(?:^ {4}|^\s*!|`)python ([\w/]+\.py[^`\n]*)", join_lines(text), flags=re.MULTILINE)
    return [shlex.split(command, comments=True) for command in found]


@pytest.mark.parametrize("page", NOTEBOOKS + PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    for script, *words in commands(page):
        assert (ROOT / script).is_file(), script
        options = {spell(word.split("=")[0]) for word in words if word.startswith("--") or "=" in word}
        unknown = options and options - options_of(script)
        assert not unknown, f"{page.name}: {script} {unknown}"
    assert commands(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_pages_that_are_linked_exist(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
    assert links and not [link for link in links if "://" not in link and not (page.parent / link).exists()]
