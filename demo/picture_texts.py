"""The texts of a picture that a stranger sends, in which it says how it was made; nothing is trusted."""

import json
from pathlib import Path

import gradio as gr
from PIL import Image

from cldm.controls import check_number
from demo.texts import join_prompts, shorten
from generation.picture_text import KEY, MAP_KEY
from pictures.painted_maps import MAX_BYTES

MAX_TEXT = 2**20  # characters
SAYS_NOTHING = "The picture does not say how it was made: programs that save it anew drop what it said."


def read_texts(path) -> dict[str, str]:
    """The texts of a PNG before its pixels, which are never decoded."""
    if (size := Path(path).stat().st_size) > MAX_BYTES:
        raise ValueError(f"The file has {size / 2**20:.0f} MB: at most {MAX_BYTES // 2**20} MB are read.")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            texts = {key: str(text) for key, text in image.info.items() if isinstance(text, str)}
    except Image.DecompressionBombError as error:
        raise ValueError("The picture is far too large to be one of these.") from error
    except (OSError, SyntaxError, ValueError) as error:  # the last from texts that unpack to far too much
        raise ValueError(
            "The file is no PNG that can be read. Settings are in the PNG files as they were written: copies "
            "as JPEG and screenshots have lost them."
        ) from error
    long = [key for key in (KEY, MAP_KEY, "parameters") if len(texts.get(key, "")) > MAX_TEXT]
    if long:
        raise ValueError(f"The picture's text {long[0]} is far too long: {len(texts[long[0]])} characters.")
    return texts


def parse_facts(text) -> dict:
    """What a page or tool_generate.py wrote into a picture; ValueError where it is damaged."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The picture's text {KEY} is damaged: it is no JSON.") from error
    if not isinstance(facts, dict):
        raise ValueError(f"The picture's text {KEY} is damaged: a JSON object is wanted.")
    return facts


def typed(facts: dict, name: str, kind: type):
    """A value of a picture's facts; ValueError where it is missing or of another type."""
    value = facts.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"The picture's text {KEY} is damaged: {name} is missing, or of another type.")
    return value


def check_value(component, value):
    """A value for one of the page's inputs, as a request brings it; ValueError says what is wanted."""
    if isinstance(component, gr.Textbox):
        join_prompts(component.label, value)
    elif isinstance(component, gr.Checkbox) and not isinstance(value, bool):
        raise ValueError(f"{component.label}: true or false is wanted, got {shorten(value)}")
    elif isinstance(component, gr.Slider | gr.Number):
        check_number(component.label, value, component.minimum, component.maximum)
    elif value is None:
        raise ValueError(f"{component.label}: nothing is said")
    try:
        return component.preprocess(value)
    except gr.Error as error:
        raise ValueError(error.message) from error
