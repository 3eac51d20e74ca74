"""Texts that strangers send or read: prompts and names, bounded, in one line, without the server's paths."""

import re

MAX_PROMPT = 2000  # characters; text encoders read 75 tokens


def file_name(path: str) -> str:
    """A file's name; where the server keeps it is nobody's business."""
    return re.split(r"[/\\]", path)[-1]


def file_names(source: str) -> str:
    return " on ".join(map(file_name, source.split(" on ")))


def join_prompts(name: str, *prompts: str | None) -> str:
    """Prompts as one, without the empty ones."""
    for prompt in prompts:
        if not isinstance(prompt, str | None):
            raise ValueError(f"{name}: a text is wanted, got {str(prompt)[:60]!r}")
    text = ", ".join(prompt.strip() for prompt in prompts if prompt and prompt.strip())
    if len(text) > MAX_PROMPT:
        raise ValueError(f"{name} has {len(text)} characters: {MAX_PROMPT} at most, of which 75 words count.")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} holds characters that no file takes: type it anew.")
    return text


def shorten(value, most=80) -> str:
    """What a stranger's file says, to be shown: in one line, without what is no letter."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)[:1000]).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
