"""The project's python files and what they import, read without running them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# the rooms of the code, ground first: a room imports from those before it
LIBRARIES = (
    "jobs",
    "reporting",
    "ldm",
    "pictures",
    "cldm",
    "annotator",
    "paperdoll",
    "preparation",
    "batches",
    "generation",
    "evaluation",
    "learning",
    "demo",
)


def scripts() -> list[Path]:
    return sorted(ROOT.glob("*.py"))


def code_files(tests: bool) -> list[Path]:
    """Every file of the project itself, or of its tests and benchmarks."""
    folders = ("tests", "benchmarks") if tests else LIBRARIES
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return files if tests else scripts() + files


@cache
def syntax_tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path, module_level=False) -> set[str]:
    """Dotted names that a file imports (`a.b.c` of `from a.b import c`).

    With `module_level` only those that importing the file imports along.
    """
    tree, found = syntax_tree(file), set()
    for node in _outside_functions(tree) if module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{_absolute(node, file)}.{alias.name}" for alias in node.names}
    return found


def _outside_functions(tree):
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _outside_functions(node)


def _absolute(node, file):
    package = file.relative_to(ROOT).parent.parts
    base = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join([*base, *([node.module] if node.module else [])])


def imported_packages(file: Path) -> set[str]:
    """Top-level names of what a file imports."""
    return {name.split(".")[0] for name in imports(file)}


def imported_along(file: Path) -> set[str]:
    """Top-level names of everything that importing a file imports, through our own modules as well."""
    found, waiting, seen = set(), [file], set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            names = imports(current, module_level=True)
            found |= {name.split(".")[0] for name in names}
            waiting += [path for name in names for path in _own_files(name)]
    return found


def _own_files(name):
    """The files of ours that importing a dotted name runs: its packages' and its own."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        stem = ROOT.joinpath(*parts[:i])
        yield from (path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file())
