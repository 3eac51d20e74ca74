"""Yaml that anybody may have written: plain values, in time and memory that its size bounds."""

import re
from collections import Counter
from pathlib import Path

import yaml

from jobs.shipped import find_shipped

MAX_BYTES = 2**20
MAX_NODES = 50_000  # with every alias counted as what it stands for
MAX_DEPTH = 30


class _PlainLoader(yaml.SafeLoader):
    """Texts, numbers, booleans, null, lists and dicts; 1e-4 is a number, a date a text."""

    yaml_implicit_resolvers = {
        start: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":value"))]
        for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + kind for kind in "null bool int float str seq map merge".split()}
_PlainLoader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), [*"-+0123456789"]
)


def read_yaml(path):
    """What a yaml file holds, of plain values only; None if it is empty.

    One of models/ that is not there is the one that comes with the code.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no yaml, holds more than plain values, or outgrows what settings need; one line
            that names the file.
    """
    try:
        with open(find_shipped(path), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise ValueError(f"{Path(path)} is no yaml but a folder") from error
    try:
        return _values(data.decode())
    except ValueError as error:
        raise ValueError(f"{Path(path)} is no yaml: {' '.join(str(error).split())}") from error


def parse_yaml(text: str):
    """As `read_yaml`, of a text."""
    try:
        return _values(text[: MAX_BYTES + 1])
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no yaml: {' '.join(str(error).split())}") from error


def _values(text):
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, 1, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError(f"it nests more than {MAX_DEPTH} levels deep") from error
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # of values with a wrong tag
        raise ValueError(str(error)) from error


def _count(node, depth, counted) -> int:
    """Nodes below and with one; ValueError if these are too many, or nest too deep, as those of a loop do."""
    if node in counted:
        return counted[node]
    if depth > MAX_DEPTH:
        raise ValueError(f"it nests more than {MAX_DEPTH} levels deep")
    if node.tag not in _PLAIN:
        raise ValueError(f"it holds a value of type {node.tag}, where plain values are wanted")
    pairs = isinstance(node, yaml.MappingNode)
    if pairs:
        _refuse_twins(node)
    below = [] if isinstance(node, yaml.ScalarNode) else node.value
    parts = [part for pair in below for part in pair] if pairs else below
    counted[node] = 1 + sum(_count(part, depth + 1, counted) for part in parts)
    if counted[node] > MAX_NODES:
        raise ValueError(f"it holds more than {MAX_NODES:,} values")
    return counted[node]


def _refuse_twins(node):
    keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for (tag, value), count in keys.items():
        if count > 1 and not tag.endswith(":merge"):
            raise ValueError(f"it has the duplicate key {value}")
