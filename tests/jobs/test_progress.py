"""Progress fits a terminal of any width, and says one thing in one format."""

import os
import sys

import pytest

from jobs.progress import Progress, cut, duration, fit, say, width


class Terminal:
    """What is written to it; 'a terminal' to those who ask."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def rows(self, columns: int) -> list[str]:
        """What stands on its rows, wrapped as a terminal of so many columns does."""
        rows, at = [[]], 0
        for letter in self.text:
            if letter == "\n":
                rows.append([])
            if letter in "\r\n":
                at = 0
                continue
            if at + width(letter) > columns:
                rows.append([])
                at = 0
            rows[-1][at : at + width(letter)] = letter.ljust(width(letter), "\0")
            at += width(letter)
        return ["".join(row).replace("\0", "").rstrip() for row in rows]


def open_terminal(monkeypatch) -> Terminal:
    """Within a test: pytest replaces what a fixture has made of sys.stdout."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(Progress, "open_line", False)
    return shown


NAMES = [
    "out",
    "runs/" + "a_long_name_" * 20,
    "训练/服装" * 12,
    "e\u0301t\u00e9 " * 40,
    "a\tb\x1b[2Jc\n" * 9,
    "",
]


@pytest.mark.parametrize("columns", [1, 8, 20, 40, 80, 100, 300])
@pytest.mark.parametrize("name", NAMES)
def test_updates_stay_on_one_row_of_any_terminal(monkeypatch, columns, name):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("jobs.progress.SECONDS_IN_PLACE", 0)
    progress = Progress(name, 45195, "pictures")
    for _ in range(5):
        progress.add(9039, lambda: "loss 0.1234, 31.2 pictures/s, data wait 12 %")
    rows = terminal.rows(columns)
    assert len(rows) == 2 and rows[1] == ""
    assert columns < 80 or "45,195 of 45,195 pictures" in rows[0]


def test_a_terminal_that_becomes_narrow_is_asked_again(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr("jobs.progress.SECONDS_IN_PLACE", 0)
    progress = Progress("data/photos_of_the_shop", 3, "photos")
    for columns in ("120", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        terminal.text = ""
        progress.add(1)
        assert width(terminal.text.lstrip("\r")) == int(columns) - 1


def test_other_texts_stand_below_a_line_of_progress(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    Progress("out", 2, "photos").add(1)
    say("step 1: control mIoU 0.5")
    say("another")
    rows = terminal.rows(80)
    assert rows[0].startswith("out: 1 of 2 photos") and rows[1:3] == ["step 1: control mIoU 0.5", "another"]


def test_a_name_gives_way_before_the_numbers_do():
    told = "640 of 45,195 photos, 31.2/s, 24 min left"
    assert fit("data/of/a/shop/with/a/long/name", told, 70) == f".../a/shop/with/a/long/name: {told}"
    assert fit("shop", told, 79) == f"shop: {told}"
    assert cut("衣服衣服", 7) == "衣服..." and cut("衣服衣服", 6) == "衣..." and cut("abc", 2) == ".."


def test_away_from_a_terminal_nothing_is_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    name = "data/" + "shop" * 30
    progress = Progress(name, 2000, "photos", done=1000)
    progress.add(1)
    progress.add(1)  # not due
    progress.add(998)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[0].startswith(f"{name}: 1,001 of 2,000 photos, ")


def test_an_output_that_cannot_spell_a_name_shows_question_marks(monkeypatch):
    path = "/tmp/x"
    with open(os.devnull, "w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        say("服装", path, "\udc80")
        Progress("服装", 1, "photos").add(1)


def test_a_rate_tells_of_this_run_alone():
    progress = Progress("out", 100, "photos", done=40)
    progress.done = 70
    assert progress.describe(60) == "70 of 100 photos, 0.5/s, 60 s left"
    progress.done = 100
    assert progress.describe(60) == "100 of 100 photos, 1.0/s in 60 s"


def test_durations_have_one_format():
    said = [duration(seconds) for seconds in (0, 45, 99.7, 100, 1500, 12000, 359000, 1e6)]
    assert said == ["0 s", "45 s", "100 s", "2 min", "25 min", "3 h 20 min", "99 h 43 min", "12 days"]
