"""The wheel holds what the checkout holds, and its commands run from a folder where nothing is."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import EntryPoint

import pytest
import tomllib
import yaml

from jobs import shipped
from jobs.command_line import Parser
from jobs.yaml_files import read_yaml
from ldm.checkpoint import read_state_dict
from sources import LIBRARIES, ROOT, imports, scripts

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS, COMMANDS = PYPROJECT["tool"]["setuptools"], PYPROJECT["project"]["scripts"]
NEEDED = "pyproject.toml", "README.md", "LICENSE", "requirements.txt"


def test_the_wheel_has_every_script_and_every_room():
    assert SETUPTOOLS["py-modules"] == [script.stem for script in scripts()]
    assert {*SETUPTOOLS["packages"]["find"]["include"]} == {f"{room}*" for room in (*LIBRARIES, "models")}


def test_every_script_that_is_run_has_a_command():
    run = {script.stem for script in scripts() if "jobs.command_line.entry_point" in imports(script)}
    assert sorted(run) == sorted(target.removesuffix(":main") for target in COMMANDS.values())
    assert all(callable(import_module(target.partition(":")[0]).main) for target in COMMANDS.values())


def test_the_page_about_installing_lists_the_commands():
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(garment-[\w-]+)` \| `(\w+)\.py` \|$", page, re.MULTILINE)
    assert [(name, f"{module}:main") for name, module in listed] == list(COMMANDS.items())


def test_every_version_is_the_same():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert PYPROJECT["project"]["version"] == cff["version"] == newest


def test_the_wheel_has_every_other_file_of_a_room():
    of_room = SETUPTOOLS["package-data"]
    for room in LIBRARIES:
        kept = {pattern.removeprefix("*") for pattern in of_room["*"] + of_room.get(room, [])}
        files = [path for path in (ROOT / room).rglob("*") if path.is_file()]
        assert not [path for path in files if path.suffix not in kept | {".py", ".pyc"}]


def test_shipped_files_are_found_where_nothing_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_yaml("models/train_tiny.yaml")["model"].startswith("models/")
    assert read_state_dict("models/tiny/segmenter.safetensors")
    for path in ("models/none.yaml", "models/../README.md", "README.md"):
        assert not shipped.find_shipped(path).exists()


def test_a_file_of_the_users_own_comes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "train_tiny.yaml").write_text("mine: 1")
    assert read_yaml("models/train_tiny.yaml") == {"mine": 1}


def test_an_installed_command_names_commands_in_its_help(monkeypatch):
    found = [EntryPoint("garment-train", "tutorial_train:main", "console_scripts")]
    monkeypatch.setattr("jobs.command_line.entry_points", lambda group: found)
    text = "Train.\n\npython tutorial_train.py a=1   # one\npython tutorial_train.py b=2\npython own.py"
    monkeypatch.setattr(sys, "argv", ["bin/garment-train"])
    lines = Parser(text).format_help().splitlines()
    assert lines[0] == "usage: garment-train [OPTION ...]"
    assert {"garment-train a=1   # one", "garment-train b=2", "python own.py"} <= {*lines}
    monkeypatch.setattr(sys, "argv", ["tutorial_train.py"])
    lines = Parser(text).format_help().splitlines()
    assert (
        lines[0] == "usage: python tutorial_train.py [OPTION ...]" and "python tutorial_train.py b=2" in lines
    )


@pytest.mark.slow
def test_a_wheel_is_built_and_its_commands_run_from_an_empty_folder(tmp_path):
    source, site, empty = (tmp_path / name for name in ("source", "site", "empty"))
    for folder in (*LIBRARIES, "models"):
        unneeded = ["__pycache__"] + ["*.ckpt", "control_*.safetensors"] * (folder == "models")
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns(*unneeded))
    for file in (*scripts(), *(ROOT / name for name in NEEDED)):
        shutil.copy(file, source)
    empty.mkdir()
    offline = "--quiet --no-deps --no-index --disable-pip-version-check".split()

    def pip(*arguments):
        subprocess.run([sys.executable, "-m", "pip", *arguments, *offline], check=True, cwd=empty)

    pip("wheel", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("garment_controlnet-*.whl")
    pip("install", "--target", str(site), str(wheel))

    def run(*command):
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=empty,
            env=os.environ | dict(PYTHONPATH=str(site)),
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert run("-c", "import cldm; print(cldm.__file__)").startswith(str(site))
    told = run(str(site / "bin" / "garment-train"), "--help")
    assert told.startswith("usage: garment-train [OPTION ...]") and "python tutorial_train.py" not in told
    assert "Done: ini.safetensors" in run(
        str(site / "bin" / "garment-graft"), "models/tiny/base.safetensors", "ini.safetensors"
    )
    assert any(name.startswith("control_model.") for name in read_state_dict(empty / "ini.safetensors"))
    assert "Done: models/control_tiny_ini.ckpt" in run(str(site / "bin" / "garment-graft"))
    assert [path.name for path in empty.iterdir()] == ["ini.safetensors", "models"]
