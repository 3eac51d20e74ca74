"""A JSON file that somebody has spoilt is named in one line, whatever is wrong with it."""

import pytest

from jobs.json_files import read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no JSON: Expecting property name"),
        (b"", "is no JSON: Expecting value"),
        ('{"a": "é"}'.encode("latin-1"), "is no JSON: 'utf-8' codec can't decode"),
        ('{"a": 1}'.encode("utf-16"), "is no JSON: 'utf-8' codec can't decode"),
        (b"[" * 100_000, "is no JSON: it nests too deep"),
        (b"[1]", "must hold an object, it holds a list"),
        (b"null", "must hold an object, it holds null"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} {message}") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
