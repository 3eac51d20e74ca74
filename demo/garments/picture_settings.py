"""What a picture's own texts say of how it was made, as values of the page's inputs; nothing is trusted."""

import base64
import binascii
from dataclasses import dataclass, field

from demo.garments.infotext import parse_parameters
from demo.garments.page_request import NO, REPAINT, START
from demo.picture_texts import SAYS_NOTHING, parse_facts, read_texts, typed
from demo.texts import file_name, shorten
from generation.picture_text import KEY, MAP_KEY, MAX_MAP_TEXT
from pictures.painted_maps import decode_map


@dataclass
class Found:
    """Values by the names of demo.garments.page_request.Inputs, not yet checked, and what else there is.

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
    texts = read_texts(path)
    if KEY in texts:
        facts = parse_facts(texts[KEY])
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


def _of_page(facts, texts):
    page = typed(facts, "page", dict)
    checkpoint = typed(page, "checkpoint", dict)
    photo = facts.get("photo")
    found = Found(
        typed(page, "inputs", dict) | dict(seed=facts.get("seed")),
        strict=True,
        checkpoint=(file_name(typed(checkpoint, "file", str)), typed(checkpoint, "sha256", str)),
        base=(file_name(typed(facts, "model", str).split(" on ")[-1]), ""),
        further=[control for control in typed(page, "further", list) if isinstance(control, dict)],
        map_digest=typed(page, "map_sha256", str),
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
    size = typed(facts, "size", list)
    found = Found(values | dict(image_resolution=min(size) if _numbers(size) else size))
    found.base = file_name(typed(facts, "model", str)), ""
    if facts.get("guidance_rescale"):
        found.missing.append(f"guidance rescale {shorten(facts['guidance_rescale'])}, which the page has not")
    controls = [control for control in typed(facts, "controls", list) if isinstance(control, dict)]
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


def _numbers(values):
    return len(values) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
