"""Yaml of anyone: plain values come out, and a bomb gives one line that names the file."""

import os
import time
from itertools import pairwise

import pytest

from jobs.yaml_files import parse_yaml, read_yaml


def doubling(first, level, num=12):
    """A yaml each of whose lines stands for ten of the line before."""
    names = [chr(ord("a") + i) for i in range(num)]
    lines = [f"{name}: &{name} {level(', '.join([f'*{of}'] * 10))}" for of, name in pairwise(names)]
    return "\n".join([f"a: &a {first}", *lines])


BOMBS = {
    "aliases": (doubling("[x, x]", "[{}]".format), "more than 50,000 values"),
    "merges": (doubling("{x: 1}", "{{<<: [{}]}}".format), "more than 50,000 values"),
    "loop": ("&a [*a, *a]", "nests more than 30 levels"),
    "depth": ("[" * 100_000, "nests more than 30 levels"),
    "depth that closes": ("[" * 40 + "]" * 40, "nests more than 30 levels"),
    "many": ("[" + "1," * 60_000 + "]", "more than 50,000 values"),
    "long": ("a" * (2**20 + 1), "more than 1,048,576 bytes"),
    "huge number": ("a: " + "9" * 5000, "limit"),
    "call": ('!!python/object/apply:os.system ["true"]', "of type .*os.system"),
    "bytes": ("!!binary x", "of type .*binary"),
    "set": ("!!set {a}", "of type .*set"),
    "wrong tag": ("!!bool x", "x"),
    "nothing in a number": ("!!int ''", "out of range"),
    "twins": ("a: 1\nb: 2\na: 3", "the duplicate key a"),
    "list as a key": ("{[1]: 2}", "unhashable key"),
    "control character": ("a: \0", "unacceptable character"),
    "two documents": ("a: 1\n---\nb: 2", "single document"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_gives_one_line_that_names_the_file_and_little_time(tmp_path, case):
    text, message = BOMBS[case]
    (tmp_path / "x.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(ValueError, match=f"x.yaml is no yaml: .*{message}") as caught:
        read_yaml(tmp_path / "x.yaml")
    assert len(str(caught.value).splitlines()) == 1
    assert time.process_time() - start < 20
    with pytest.raises(ValueError, match="is no yaml"):
        parse_yaml(text)


def test_plain_values_are_what_they_look_like():
    text = "{rate: 1e-4, low: -2E+5, day: 2020-01-01, sign: =, on: true, none: , text: '1e-4', odd: 1e}"
    wanted = dict(rate=1e-4, low=-2e5, day="2020-01-01", sign="=", on=True, none=None, text="1e-4", odd="1e")
    assert parse_yaml(text.replace("on:", '"on":')) == wanted
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}") == dict(
        a=dict(x=1), b=dict(x=1, y=[dict(x=1)] * 2)
    )


def test_an_empty_file_holds_nothing_and_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"")
    assert read_yaml(tmp_path / "x.yaml") is None
    (tmp_path / "x.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="x.yaml is no yaml: .*utf-8"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        read_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs a device file")
def test_a_file_without_end_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="/dev/zero is no yaml: it has more than"):
        read_yaml("/dev/zero")


def test_a_folder_where_a_yaml_is_wanted_is_named_as_one(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name} is no yaml but a folder"):
        read_yaml(tmp_path)
