"""The pages for people name what there is: files, and in them the functions that they are said to have."""

import re
from collections import deque

import pytest

from sources import LIBRARIES, ROOT, scripts

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "models" / "README.md"]
OURS = (
    "jobs reporting ldm pictures cldm annotator preparation batches generation evaluation learning demo "
    "tests benchmarks docs"
).split()


def codes(page):
    """What stands in backticks outside of blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def is_path(code):
    top = code.split("/")[0]
    return bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", code)) and (
        (top in OURS and "/" in code) or re.fullmatch(r"(tool|tutorial|gradio)_\w+\.py", code)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page):
    recipes = {"annotator/lines/__init__.py", "annotator/caption/poem.py"}
    lost = [code for code in codes(page) if is_path(code) and not (ROOT / code).exists()]
    assert not set(lost) - (recipes if page.name == "recipes.md" else set())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_page_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]
            assert heading in anchors, target


@pytest.mark.parametrize("name", ["architecture.md", "recipes.md", "tryon_formulas.md"])
def test_a_name_behind_a_file_is_in_that_file(name):
    """`file.py` `name`, `other`: as the pages for maintainers point at code."""
    for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines():
        for path, names in re.findall(r"`([\w/]+\.py)` ((?:`\w+`(?:, )?)+)", line):
            source = (ROOT / path).read_text(encoding="utf-8")
            for wanted in re.findall(r"`(\w+)`", names):
                defined = rf"^\s*(def|class) {wanted}\b|^\s*{wanted}\b.* = |^\s*{wanted}: "
                assert re.search(defined, source, re.MULTILINE), f"{path} has no {wanted}"


def test_every_formula_has_a_paper_and_a_function():
    text = (ROOT / "docs/tryon_formulas.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| formula")]
    assert len(rows) > 30
    lost = [row for row in rows if not re.search(r"[^|]\S+ \| `[\w/]+\.py` `\w+` \|$", row)]
    assert not lost


def test_every_page_can_be_reached_from_the_readme():
    found, waiting = set(), deque([ROOT / "README.md"])
    while waiting:
        page = waiting.popleft()
        for name in re.findall(r"\]\(([\w./-]+\.md)", page.read_text(encoding="utf-8")):
            target = (page.parent / name).resolve()
            if target not in found and target.exists():
                found.add(target)
                waiting.append(target)
    assert {page.resolve() for page in PAGES[1:]} <= found


def test_the_tree_of_the_readme_names_every_script_and_room():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## The tree")[1]
    lines = [line.split(" ")[0] for line in tree.splitlines()]
    assert {script.name for script in scripts()} | {f"{room}/" for room in LIBRARIES} <= set(lines)
