"""What a picture's own texts say of how it was made, as values of the page's inputs; nothing is trusted."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from demo.infotext import file_name, parse_parameters, shorten
from demo.page_request import NO, REPAINT, START
from generation.picture_text import KEY, MAP_KEY, MAX_MAP_TEXT
from pictures.painted_maps import MAX_BYTES, decode_map

MAX_TEXT = 2**20  # characters
SAYS_NOTHING = "The picture does not say how it was made: programs that save it anew drop what it said."


@dataclass
class Found:
    """Values by the names of demo.page_request.Inputs, not yet checked, and what else there is.

    strict: the demo's page wrote them, so that a value off its range means that the file was tampered with.
    missing: what the picture names but does not hold, in words.
    checkpoint: (file, SHA-256) of the map's control. base: (file, hash or "") of the U-Net.
    further: [dict(file, factor, ...)] of the page's further controls.
    map_png: as stored, None without; map_digest: of the map at the picture's size.
    photo_digest: of the photo at the picture's size.
    """

    values: dict
    strict: bool = False
    missing: list[str] = field(default_factory=list)
    checkpoint: tuple | None = None
    base: tuple | None = None
    further: list = field(default_factory=list)
    map_png: bytes | None = None
    map_digest: str | None = None
    photo_digest: str | None = None


def read_picture_settings(path) -> Found:
    """What a PNG of the demo, of tool_generate.py or of AUTOMATIC1111 says.

    Raises:
        ValueError: it is no PNG, says nothing, or is damaged; in plain words.
    """
    texts = _texts(path)
    if KEY in texts:
        facts = _facts(texts[KEY])
        return _of_page(facts, texts) if "page" in facts else _of_tool(facts)
    if "parameters" in texts:
        return Found(**parse_parameters(texts["parameters"]))
    raise ValueError(SAYS_NOTHING)


def stored_map(found: Found, encoder):
    """Region ids uint8 (h, w) of a Found's map, in the colours of the page's own regions."""
    try:
        return decode_map(found.map_png, encoder)
    except ValueError as error:
        if "off the palette" in str(error):
            raise
        raise ValueError(f"The map in the picture is damaged. {shorten(error, 200)}") from error


def _texts(path) -> dict[str, str]:
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


def _facts(text) -> dict:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The picture's text {KEY} is damaged: it is no JSON.") from error
    if not isinstance(facts, dict):
        raise ValueError(f"The picture's text {KEY} is damaged: a JSON object is wanted.")
    return facts


def _of_page(facts, texts):
    page = _typed(facts, "page", dict)
    checkpoint = _typed(page, "checkpoint", dict)
    photo = facts.get("photo")
    found = Found(
        _typed(page, "inputs", dict) | dict(seed=facts.get("seed")),
        strict=True,
        checkpoint=(file_name(_typed(checkpoint, "file", str)), _typed(checkpoint, "sha256", str)),
        base=(file_name(_typed(facts, "model", str).split(" on ")[-1]), ""),
        further=[control for control in _typed(page, "further", list) if isinstance(control, dict)],
        map_digest=_typed(page, "map_sha256", str),
        photo_digest=str(photo.get("sha256")) if isinstance(photo, dict) else None,
    )
    if MAP_KEY not in texts:
        found.missing.append("the map, which was too large to be kept in the picture")
        return found
    if len(texts[MAP_KEY]) > MAX_MAP_TEXT:
        raise ValueError(f"The picture's text {MAP_KEY} is far too long.")
    try:
        found.map_png = base64.b64decode(texts[MAP_KEY], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"The map in the picture is damaged: {MAP_KEY} is no base64.") from error
    return found


def _of_tool(facts):
    """tool_generate.py's pictures name the files of their map and photo."""
    names = dict(prompt="prompt", n_prompt="negative_prompt", ddim_steps="steps", sampler="sampler")
    names |= dict(scale="scale", eta="eta", seed="seed")
    values = dict(a_prompt="") | {name: facts[theirs] for name, theirs in names.items() if theirs in facts}
    size = _typed(facts, "size", list)
    found = Found(values | dict(image_resolution=min(size) if _numbers(size) else size))
    found.base = file_name(_typed(facts, "model", str)), ""
    if facts.get("guidance_rescale"):
        found.missing.append(f"guidance rescale {shorten(facts['guidance_rescale'])}, which the page has not")
    controls = [control for control in _typed(facts, "controls", list) if isinstance(control, dict)]
    if controls:
        first = controls[0]
        found.checkpoint = file_name(str(first.get("file"))), str(first.get("sha256"))
        found.missing.append(f"the map, {shorten(first.get('map'))}: upload it")
        values = dict(strength=first.get("strength"), control_start=first.get("start"))
        found.values |= values | dict(control_end=first.get("end"), guess_mode=first.get("guess_mode", False))
    for control in controls[1:]:
        name, strength = file_name(str(control.get("file"))), control.get("strength")
        found.missing.append(f"the further control {shorten(name)} of strength {shorten(strength)}")
    _add_photo(found, facts.get("photo"))
    return found


def _add_photo(found, photo):
    if not isinstance(photo, dict):
        found.values["photo_use"] = NO
        return
    found.missing.append(f"the photo, {shorten(file_name(str(photo.get('file'))))}: add it under Photo")
    regions = [name.strip() for name in str(photo.get("inpaint") or "").split(",") if name.strip()]
    found.values |= dict(photo_use=REPAINT if regions else START, denoise=photo.get("denoise"))
    if regions:
        found.values |= dict(repaint=regions, grow=photo.get("grow"), feather=photo.get("feather"))


def _typed(facts, name, kind):
    value = facts.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"The picture's text {KEY} is damaged: {name} is missing, or of another type.")
    return value


def _numbers(values):
    return len(values) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
