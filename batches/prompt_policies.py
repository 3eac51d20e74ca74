"""Prompt policies from yaml: what a key may hold, and which presets there are."""

from dataclasses import fields
from pathlib import Path

from batches.prompts import PromptPolicy
from jobs.shipped import MODELS
from jobs.yaml_files import parse_yaml, read_yaml
from ldm.util import check_known

PRESETS = MODELS / "prompts"


def read_policy(prompts: str) -> PromptPolicy:
    """The policy of a preset's name, of a yaml file, or of what `PromptPolicy.text` gave.

    Raises:
        ValueError: there is none of that name, an unknown key, with the nearest known one, or a wrong value.
    """
    if not isinstance(prompts, str):
        raise ValueError(f"prompts must be a preset's name or a yaml file, got {prompts!r}")
    if prompts.startswith("{"):
        return _policy(parse_yaml(prompts), "prompts")
    path = PRESETS / f"{prompts}.yaml"
    if not path.is_file():
        path = Path(prompts)
    if not path.is_file():
        listed = ", ".join(sorted(path.stem for path in PRESETS.glob("*.yaml")))
        raise ValueError(f"prompts={prompts} is no file, and none of models/prompts: {listed}")
    return _policy(read_yaml(path), path)


def options_of_policy(prompts: str) -> dict:
    """The options that a policy sets, none for the empty name."""
    dropout = read_policy(prompts).prompt_dropout if prompts else None
    return {} if dropout is None else dict(prompt_dropout=dropout)


def _policy(values, where) -> PromptPolicy:
    if not isinstance(values, dict):
        raise ValueError(f"{where} must hold a prompt policy, a line `key: value` each")
    if "sources" not in values:
        raise ValueError(f"{where} lacks the key 'sources', {WANTED['sources'][0]}")
    for key, value in values.items():
        try:
            check_known(key, [f.name for f in fields(PromptPolicy)], "key")
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        wanted, fits = WANTED[key]
        if not fits(value):
            raise ValueError(f"{where}: {key} must be {wanted}, got {value!r}")
    return PromptPolicy(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


def _is_number(value, low, high, kind=(int, float)):
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high


def _is_row(row):
    if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
        return False
    return bool(row) and all(_is_number(weight, 1e-9, 1e9) for weight in row.values())


def _are_texts(value):
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


SHARE = "a share from 0 to 1", lambda value: _is_number(value, 0, 1)
# key -> (what it must be, whether a value is that)
WANTED = {
    "sources": (
        "rows of {source: weight above 0}, [{garments: 1}, {caption: 2, blip: 1}] say",
        lambda value: isinstance(value, list) and value and all(map(_is_row, value)),
    ),
    "garments": ("a list of sources", _are_texts),
    "budget": ("a whole number of tokens, 0 for any", lambda value: _is_number(value, 0, 1e9, int)),
    "phrase_dropout": SHARE,
    "shuffle": ("true or false", lambda value: isinstance(value, bool)),
    "markers": ('two texts, ["<", ">"] say', lambda value: _are_texts(value) and len(value) == 2),
    # else it would become one word with the prompt's first or last
    "prefix": (
        "a text that ends with a space or a mark",
        lambda value: isinstance(value, str) and not value[-1:].isalnum(),
    ),
    "suffix": (
        "a text that begins with a space or a mark",
        lambda value: isinstance(value, str) and not value[:1].isalnum(),
    ),
    "prompt_dropout": SHARE,
}
