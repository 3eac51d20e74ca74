"""The shape of the code: which room imports which, how large rooms are, and what is written nowhere."""

import ast
import re
from collections import Counter

import pytest

from sources import LIBRARIES, ROOT, code_files, imported_along, imports, scripts, syntax_tree

PROJECT, TESTS = code_files(tests=False), code_files(tests=True)
HEAVY = {"torch", "torchvision", "pytorch_lightning", "gradio", "transformers", "open_clip", "diffusers"}
SCRIPTS_MAY_IMPORT = re.compile(rf"({'|'.join(LIBRARIES)}|tutorial_(tryon_)?dataset)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/])(/(home|root|mnt|media|work|Users)/\w|[A-Z]:\\\\?\w)")


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


def expect_none(found):
    if found:
        pytest.fail("\n".join(map(str, found)), pytrace=False)


def nodes(files, kind):
    return ((file, node) for file in files for node in ast.walk(syntax_tree(file)) if isinstance(node, kind))


@pytest.mark.parametrize("library", LIBRARIES)
def test_rooms_import_downwards_only(library):
    """Relative imports, imports inside functions and what an __init__ re-exports count, too."""
    above = {
        *LIBRARIES[LIBRARIES.index(library) + 1 :],
        *(script.stem for script in scripts()),
        "tests",
        "benchmarks",
    }
    files = [file for file in PROJECT if file.relative_to(ROOT).parts[0] == library]
    assert files
    expect_none([(name(f), i) for f in files for i in imports(f) if i.split(".")[0] in above])


def test_no_room_has_more_than_a_fifth_of_the_lines():
    lines = Counter(dict.fromkeys(LIBRARIES, 0))
    for file in PROJECT:
        if len(parts := file.relative_to(ROOT).parts) > 1:
            lines[parts[0]] += len(file.read_text(encoding="utf-8").splitlines())
    total = lines.total()
    expect_none([f"{room}: {n} of {total} lines" for room, n in lines.items() if n > 0.2 * total])


def test_scripts_import_libraries_and_no_other_script():
    ours = {*LIBRARIES, *(script.stem for script in scripts()), "tests", "benchmarks"}
    imported = [(name(f), i) for f in scripts() for i in imports(f) if i.split(".")[0] in ours]
    expect_none([(file, i) for file, i in imported if not SCRIPTS_MAY_IMPORT.match(i)])


def test_help_of_a_script_waits_for_no_heavy_import():
    commands = [script for script in scripts() if "jobs.command_line.Parser" in imports(script)]
    expect_none([(name(f), found) for f in commands if (found := sorted(imported_along(f) & HEAVY))])


def test_importing_a_script_does_no_work():
    harmless = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)

    def works(node):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guard = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        return not (isinstance(node, harmless) or docstring or guard)

    bodies = {script: syntax_tree(script).body for script in scripts()}
    expect_none([f"{name(f)}:{node.lineno}" for f, body in bodies.items() for node in body if works(node)])


def test_scripts_are_short_and_define_no_network():
    too_long = [name(f) for f in scripts() if len(f.read_text(encoding="utf-8").splitlines()) > 100]
    networks = [f"{name(f)}: {c.name}" for f, c in nodes(scripts(), ast.ClassDef) if "Module" in ast.dump(c)]
    expect_none(too_long + networks)


def test_lines_have_110_characters_at_most():
    expect_none(found_in(PROJECT + TESTS, r"^.{111}"))


def test_no_device_is_hard_coded():
    """Asking what a device is, is allowed."""
    questions = {id(part) for _, question in nodes(PROJECT, ast.Compare) for part in ast.walk(question)}
    texts = [(f, n) for f, n in nodes(PROJECT, ast.Constant) if isinstance(n.value, str)]
    named = [(f, n) for f, n in texts if re.fullmatch(r"cuda(:\d+)?", n.value) and id(n) not in questions]
    expect_none([f"{name(f)}:{n.lineno}" for f, n in named] + found_in(PROJECT, r"\.cuda\("))


def test_no_file_of_a_stranger_can_run_code():
    """Where torch.load may meet arbitrary objects, a pickle module of our own decides what they become."""

    def unsafe(call):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        saves = ast.unparse(call.func).endswith("save_checkpoint")
        return keywords.get("weights_only") == "False" and "pickle_module" not in keywords and not saves

    calls = [f"{name(f)}:{call.lineno}" for f, call in nodes(PROJECT + TESTS, ast.Call) if unsafe(call)]
    expect_none(calls + found_in(PROJECT, r"pickle\.loads?\("))


def test_users_meet_errors_not_assertions():
    expect_none([f"{name(f)}:{node.lineno}" for f, node in nodes(PROJECT, ast.Assert)])


def test_no_path_of_one_machine_is_written_down():
    folders = [ROOT / folder for folder in (*LIBRARIES, "docs", "models", "tests", "benchmarks")]
    files = [file for folder in folders for file in folder.rglob("*")] + list(ROOT.glob("*"))
    texts = [file for file in files if file.suffix in {".py", ".md", ".yaml", ".toml", ".txt"}]
    expect_none(found_in(texts, MACHINE_PATH))
