"""Text files that people bring: UTF-8, or an error that says what else they seem to be."""

from pathlib import Path

UTF_16 = b"\xff\xfe", b"\xfe\xff"
MARK = b"\xef\xbb\xbf"  # of UTF-8, as spreadsheets and Windows' editors put it first


def read_text(path) -> str:
    """A file's text, without a byte order mark; ValueError names a file that is not in UTF-8."""
    data = Path(path).read_bytes()
    if is_utf_16(data):
        raise ValueError(f"{path} is in UTF-16 or no text: save it as UTF-8")
    try:
        return decode_text(data)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def is_utf_16(data: bytes) -> bool:
    """Whether an editor has saved a text as UTF-16, of which every second byte is mostly 0."""
    return data[:2] in UTF_16 or b"\0" in data[:200]


def decode_text(data: bytes) -> str:
    """Bytes as UTF-8, without a byte order mark; ValueError says where they are not: "is not UTF-8 ..."."""
    try:
        return data.removeprefix(MARK).decode()
    except UnicodeDecodeError as error:
        wrong = data.removeprefix(MARK)[error.start : error.end].hex(" ")
        raise ValueError(f"is not UTF-8 at byte {error.start} ({wrong}): save it as UTF-8") from error
