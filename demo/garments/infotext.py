"""AUTOMATIC1111's text `parameters`, as values of the page's inputs."""

import json
import re

from demo.texts import file_name, shorten
from ldm.models.diffusion.samplers import SAMPLERS

# names are bounded, as a search for endless ones would take the square of a text's length
SETTING = re.compile(r'(\w[\w \-/]{0,40}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
NUMBERS = {"Steps": "ddim_steps", "CFG scale": "scale", "Seed": "seed", "Eta": "eta"}
OF_CONTROL = {"weight": "strength", "guidance start": "control_start", "guidance end": "control_end"}
NEGATIVE, LAST_LINE = "Negative prompt:", 20_000
# what says nothing about the picture, or has been told otherwise
SILENT = {"Version", "Model", "Model hash", "Size", "Sampler", "Denoising strength", *NUMBERS}


def parse_parameters(text: str) -> dict:
    """Fields of demo.garments.picture_settings.Found; ValueError for a text of another kind."""
    prompt, negative, settings = _parts(text)
    values = dict(prompt=prompt, a_prompt="", n_prompt=negative)
    values |= {name: _number(settings[theirs]) for theirs, name in NUMBERS.items() if theirs in settings}
    missing = ["the map: AUTOMATIC1111 keeps none in its pictures"]
    if size := re.fullmatch(r"(\d{1,6})x(\d{1,6})", settings.get("Size", "")):
        values["image_resolution"] = min(map(int, size.groups()))
    ours = {known.title.lower(): name for name, known in SAMPLERS.items()}
    if sampler := settings.get("Sampler"):
        if sampler.lower() in ours:
            values["sampler"] = ours[sampler.lower()]
        else:
            titles = ", ".join(known.title for known in SAMPLERS.values())
            missing.append(f"the sampler {shorten(sampler)}: the page has {titles}")
    if "Denoising strength" in settings:
        strength = shorten(settings["Denoising strength"])
        missing.append(f"what it started from, a photo or a smaller picture (denoising strength {strength})")
    controls = [name for name in settings if re.fullmatch(r"ControlNet(?: \d{1,2})?", name)]
    for i, name in enumerate(controls):
        told = _control(settings[name])
        if i == 0:
            values |= {ours: _number(told[theirs]) for theirs, ours in OF_CONTROL.items() if theirs in told}
        which = "the control" if i == 0 else "the further control"
        missing.append(f"{which} {shorten(told.get('model', 'without a name'))}, if it is not this page's")
    others = [name for name in settings if name not in SILENT and name not in controls]
    if others:
        said = ", ".join(f"{name} {shorten(settings[name], 40)}" for name in others[:8])
        missing.append(f"what the page has no setting for: {said}" + ", ..." * (len(others) > 8))
    base = (file_name(settings["Model"]), settings.get("Model hash", "")) if "Model" in settings else None
    return dict(values=values, missing=missing, base=base)


def _parts(text):
    """(prompt, negative prompt, settings by name) of the text's lines, the last of which has the settings."""
    *lines, last = text.strip().split("\n")
    settings = {name: _unquoted(value.strip()) for name, value in SETTING.findall(last[:LAST_LINE])}
    if "Steps" not in settings or "Seed" not in settings:
        raise ValueError(
            "The picture's text `parameters` is none of AUTOMATIC1111's: it has no steps or seed."
        )
    starts = [i for i, line in enumerate(lines) if line.startswith(NEGATIVE)]
    cut = starts[0] if starts else len(lines)
    negative = "\n".join(lines[cut:]).removeprefix(NEGATIVE)
    return "\n".join(lines[:cut]).strip(), negative.strip(), settings


def _control(text):
    """The settings of one control by their names in small letters."""
    return {name.lower(): value.strip() for name, value in SETTING.findall(text[:LAST_LINE])}


def _unquoted(value):
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _number(text):
    """An int or float, or the text itself where it is none, which then does not pass the checks."""
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    try:
        return float(text[:40])
    except ValueError:
        return text
