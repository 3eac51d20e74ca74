"""From a yaml's `target` and `params` to an object, and small helpers around it."""

import importlib
import textwrap

from jobs.options import nearest


def get_obj_from_str(path: str):
    """The object that a dotted path such as `cldm.cldm.ControlNet` names."""
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"target must be a dotted path such as package.module.Class, got {path!r}")
    return getattr(importlib.import_module(module), name)


def instantiate_from_config(config):
    """Build `config["target"]` with keyword arguments `config["params"]` (a dict or an OmegaConf node)."""
    if "target" not in config:
        raise ValueError(f"a config needs a `target` that names its class, got the keys {sorted(config)}")
    params = config.get("params") or {}
    return get_obj_from_str(config["target"])(**params)


def count_params(model) -> int:
    """Number of parameters, trainable or not."""
    return sum(p.numel() for p in model.parameters())


def refuse_unless(condition: bool, name: str, value, why: str):
    """A published yaml key that this code accepts but that has one honest value: refuse any other."""
    if not condition:
        raise ValueError(f"{name}: {value!r} is not supported: {why}")


def log_txt_as_img(wh, texts: list[str], size=None):
    """Texts, black on white, wrapped -> images (b, 3, height, width) in [-1, 1]. `wh`: (width, height)."""
    import numpy as np
    import torch
    from einops import rearrange
    from PIL import Image, ImageDraw, ImageFont

    width, height = wh
    size = size or max(10, width // 25)
    font, images = ImageFont.load_default(size), []
    for text in texts:
        image = Image.new("RGB", (width, height), "white")
        lines = textwrap.fill(text, max(8, int(width / (0.55 * size))))
        ImageDraw.Draw(image).multiline_text((4, 4), lines, fill="black", font=font)
        images.append(np.asarray(image))
    return rearrange(torch.from_numpy(np.stack(images)), "b h w c -> b c h w").float() / 127.5 - 1.0


def check_known(key, known: list[str], kind: str):
    """Raise ValueError for a key that is none of the known ones, with the nearest."""
    if key not in known:
        raise ValueError(f"unknown {kind} {key!r}{nearest(key, known)}")
