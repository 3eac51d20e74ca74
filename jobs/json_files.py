"""JSON that anybody may have written."""

import json
from pathlib import Path


def read_json(path, wanted: type = dict):
    """What a JSON file in UTF-8 holds, a `wanted`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, nests without end, or holds something else; one line that names the file.
    """
    try:
        content = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError(f"{path} is no JSON: it nests too deep") from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, wanted):
        kinds = {dict: "an object", list: "a list"}
        found = kinds.get(type(content), json.dumps(content)[:60])
        raise ValueError(f"{path} must hold {kinds[wanted]}, it holds {found}")
    return content
