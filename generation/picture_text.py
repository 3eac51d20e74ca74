"""Pictures that say how they were made: as AUTOMATIC1111 writes it, and in full as JSON."""

import base64
import io
import json
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from ldm.models.diffusion.samplers import SAMPLERS

KEY, MAP_KEY = "garment_controlnet", "garment_map"
MAX_MAP_TEXT = 2**20  # characters, of which readers of PNG take no more


def png_with(pixels, facts: dict, region_map: bytes = b"") -> bytes:
    """A picture uint8 (H, W, 3) as PNG, with the texts `parameters` and `garment_controlnet`.

    A region map, itself a PNG, goes along as base64 in `garment_map`; one that is too large for it does not.
    """
    info, buffer = PngInfo(), io.BytesIO()
    info.add_itxt("parameters", parameters(facts))
    info.add_itxt(KEY, json.dumps(facts))
    text = base64.b64encode(region_map).decode()
    if 0 < len(text) <= MAX_MAP_TEXT:
        info.add_text(MAP_KEY, text)
    Image.fromarray(pixels).save(buffer, format="png", pnginfo=info)
    return buffer.getvalue()


def read_facts(path) -> dict:
    """What `png_with` was given; ValueError for a picture that does not say it."""
    try:
        with Image.open(path) as image:
            facts = json.loads(getattr(image, "text", {}).get(KEY, "null"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no picture that can be read: delete it to draw it again") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path} does not say how it was made: it is none of tool_generate.py's pictures")
    return facts


def parameters(facts: dict) -> str:
    """The text that other programs show and read: prompts, then settings in one line."""
    height, width = facts["size"]
    settings = {"Steps": facts["steps"], "Sampler": SAMPLERS[facts["sampler"]].title}
    if "scale" in facts:  # of try-on guidance has several terms
        settings["CFG scale"] = f"{facts['scale']:g}"
    settings |= {
        "Seed": facts["seed"],
        "Size": f"{width}x{height}",
        "Model": _quoted(Path(facts["checkpoint"]["file"] if "checkpoint" in facts else facts["model"]).stem),
    }
    if "garment" in facts:
        told = dict(Person=facts["person"]["file"], Garment=facts["garment"]["file"])
        settings |= {name: _quoted(Path(file).name) for name, file in told.items()}
        settings["Category"] = facts["category"]
    if facts.get("photo"):
        settings["Denoising strength"] = f"{facts['photo']['denoise']:g}"
    for i, control in enumerate(facts["controls"]):
        strength = control["strength"]
        told = {
            "Module": "none",
            "Model": Path(control["file"]).stem,
            "Weight": f"{strength:g}" if isinstance(strength, int | float) else strength,
            "Guidance Start": f"{control['start']:g}",
            "Guidance End": f"{control['end']:g}",
        }
        if control.get("guess_mode"):
            told["Control Mode"] = "ControlNet is more important"
        settings[f"ControlNet {i}"] = _quoted(", ".join(f"{name}: {value}" for name, value in told.items()))
    lines = [facts["prompt"]]
    lines += [f"Negative prompt: {facts['negative_prompt']}"] if facts.get("negative_prompt") else []
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in settings.items())])


def _quoted(text: str) -> str:
    """As AUTOMATIC1111 quotes what holds a comma or a colon."""
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",:\n") else text
