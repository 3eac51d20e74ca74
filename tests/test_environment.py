"""The lists of packages agree with each other, with what the code imports and with what is installed."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from sources import LIBRARIES, ROOT, code_files, imported_packages

OURS = {*LIBRARIES, "tests", "benchmarks"}
# for optimizer=adamw8bit, and for the light pose model; messages say how to install them
OPTIONAL = {"bitsandbytes", "ai_edge_litert"}


def requirements(name):
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions_of(files: list[Path]):
    """The distributions that files import, `{canonical names that provide the package}` each."""
    packages = set().union(*(imported_packages(file) for file in files)) - OPTIONAL
    beside = [path for folder in ("tests/helpers", "benchmarks") for path in (ROOT / folder).iterdir()]
    local = OURS | {path.stem for path in [*ROOT.glob("*.py"), *beside]}
    providers = importlib.metadata.packages_distributions()
    third_party = packages - local - set(sys.stdlib_module_names)
    return {
        package: {canonical(name) for name in providers.get(package, [package])} for package in third_party
    }


def test_conda_and_pip_list_the_same_packages():
    """But for what only tests and benchmarks import, which conda's list may have besides."""
    dependencies = yaml.safe_load((ROOT / "environment.yaml").read_text())["dependencies"]
    (pip_list,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    needed, tests = ((ROOT / f"requirements{name}.txt").read_text().splitlines() for name in ("", "-dev"))
    assert [line for line in pip_list if line not in tests] == needed


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_installed_is_what_is_listed(name):
    installed = {str(r): importlib.metadata.version(r.name) for r in requirements(name)}
    wrong = {r: v for r, v in installed.items() if not Requirement(r).specifier.contains(v, prereleases=True)}
    assert not wrong


def test_what_the_code_imports_is_listed():
    listed = {canonical(r.name) for r in requirements("requirements.txt")}
    imported = distributions_of(code_files(tests=False))
    assert not {package: names for package, names in imported.items() if not names & listed}


def test_what_only_tests_import_is_not_asked_of_others():
    imported = distributions_of(code_files(tests=False))
    assert {canonical(r.name) for r in requirements("requirements.txt")} <= set().union(*imported.values())


def test_what_the_tests_import_is_listed():
    listed = {
        canonical(r.name) for name in ("requirements.txt", "requirements-dev.txt") for r in requirements(name)
    }
    imported = distributions_of(code_files(tests=True))
    assert not {package: names for package, names in imported.items() if not names & listed}
