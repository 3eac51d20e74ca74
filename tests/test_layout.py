"""The shape of the code: who imports whom, how long things are, and what is written nowhere."""

import ast
import re

import pytest

from sources import LIBRARIES, ROOT, code_files, imported_along, imports, scripts, syntax_tree

PROJECT, TESTS = code_files(tests=False), code_files(tests=True)
HEAVY = {"torch", "torchvision", "pytorch_lightning", "gradio", "transformers", "open_clip", "diffusers"}
MAY_IMPORT = {"annotator": {"annotator"}, "ldm": {"ldm"}, "cldm": {"cldm", "ldm"}}
SCRIPTS_MAY_IMPORT = re.compile(r"(cldm|annotator|ldm\.util|tutorial_dataset)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/])(/(work|home|root|mnt|media|Users|farm)/\w|[A-Z]:\\\\?\w)")


def name(file):
    return file.relative_to(ROOT).as_posix()


def found_in(files, pattern):
    """`file:line` of every line that a pattern matches."""
    return [
        f"{name(file)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def nodes(files, kind):
    return ((file, node) for file in files for node in ast.walk(syntax_tree(file)) if isinstance(node, kind))


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_import_downwards_only(library):
    ours = {*LIBRARIES, *(script.stem for script in scripts()), "tests", "benchmarks"}
    forbidden = ours - MAY_IMPORT[library]
    files = [file for file in PROJECT if file.relative_to(ROOT).parts[0] == library]
    wrong = [(name(f), i) for f in files for i in imports(f) if i.split(".")[0] in forbidden]
    assert files and not wrong


def test_scripts_import_libraries_and_no_other_script():
    ours = {*LIBRARIES, *(script.stem for script in scripts()), "tests", "benchmarks"}
    imported = [(name(f), i) for f in scripts() for i in imports(f) if i.split(".")[0] in ours]
    assert not [(file, i) for file, i in imported if not SCRIPTS_MAY_IMPORT.match(i)]


def test_help_of_a_script_waits_for_no_heavy_import():
    commands = [script for script in scripts() if "argparse" in imports(script)]
    assert not {name(f): found for f in commands if (found := sorted(imported_along(f) & HEAVY))}


def test_importing_a_script_does_no_work():
    harmless = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)

    def works(node):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guard = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        return not (isinstance(node, harmless) or docstring or guard)

    bodies = {script: syntax_tree(script).body for script in scripts()}
    assert not [f"{name(f)}:{node.lineno}" for f, body in bodies.items() for node in body if works(node)]


def test_scripts_are_short_and_define_no_network():
    too_long = [name(f) for f in scripts() if len(f.read_text(encoding="utf-8").splitlines()) > 100]
    networks = [f"{name(f)}: {c.name}" for f, c in nodes(scripts(), ast.ClassDef) if "Module" in ast.dump(c)]
    assert not too_long + networks


def test_files_have_200_lines_and_lines_110_characters_at_most():
    long_files = [name(f) for f in PROJECT + TESTS if len(f.read_text(encoding="utf-8").splitlines()) > 200]
    assert not long_files + found_in(PROJECT + TESTS, r"^.{111}")


def test_no_device_is_hard_coded():
    """Asking what a device is, is allowed."""
    questions = {id(part) for _, question in nodes(PROJECT, ast.Compare) for part in ast.walk(question)}
    literal = [
        f"{name(f)}:{node.lineno}: {node.value!r}"
        for f, node in nodes(PROJECT, ast.Constant)
        if isinstance(node.value, str)
        and re.fullmatch(r"cuda(:\d+)?", node.value)
        and id(node) not in questions
    ]
    assert not literal + found_in(PROJECT, r"\.cuda\(")


def test_no_file_of_a_stranger_can_run_code():
    """Where torch.load may meet arbitrary objects, a pickle module of our own decides what they become."""
    calls = [
        (f, node, {k.arg: ast.unparse(k.value) for k in node.keywords})
        for f, node in nodes(PROJECT + TESTS, ast.Call)
    ]
    unsafe = [(f, n) for f, n, k in calls if k.get("weights_only") == "False" and "pickle_module" not in k]
    assert not [f"{name(f)}:{node.lineno}" for f, node in unsafe] + found_in(PROJECT, r"pickle\.loads?\(")


def test_users_meet_errors_not_assertions():
    assert not [f"{name(f)}:{node.lineno}" for f, node in nodes(PROJECT, ast.Assert)]


def test_no_path_of_one_machine_is_written_down():
    texts = [f for f in ROOT.rglob("*") if f.suffix in {".md", ".yaml", ".toml", ".txt", ".json"}]
    ours = [
        f
        for f in texts
        if f.relative_to(ROOT).parts[0] in {*LIBRARIES, "docs", "models", "tests", "benchmarks"}
    ]
    ours += [f for f in texts if f.parent == ROOT]
    assert not found_in(PROJECT + TESTS + ours, MACHINE_PATH)
