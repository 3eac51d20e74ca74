"""From a yaml's `target` and `params` to an object of ours, and small helpers around it."""

import difflib
import importlib
import inspect
import math
import textwrap
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from jobs.options import nearest

# What a yaml may name, by module: nothing else is imported or called, whoever wrote the yaml.
_LISTED = {
    "cldm.cldm": "ControlLDM ControlNet ControlledUnetModel",
    "cldm.tryon.anydoor": "CollageNet CutGarment CollageHint",
    "cldm.tryon.conditions": """TextCondition LatentChannels MaskChannel GarmentReference MaskedGarment
        StackedGarment ImageTokens ControlHint""",
    "cldm.tryon.dinov2": "DinoV2",
    "cldm.tryon.image_encoders": "DinoGarments ClipGarments SmallGarments",
    "cldm.tryon.image_tokens": "LinearTokens MlpTokens Resampler VectorToken LinearContext",
    "cldm.tryon.model": "TryonLDM",
    "cldm.tryon.unet": "PersonUNet HalfLockedUNet GarmentUNet",
    "ldm.models.autoencoder": "AutoencoderKL",
    "ldm.models.diffusion.ddpm": "LatentDiffusion",
    "ldm.modules.diffusionmodules.openaimodel": "UNetModel",
    "ldm.modules.encoders.modules": "FrozenCLIPEmbedder FrozenOpenCLIPEmbedder",
    "torch.nn": "Identity",
}
# path -> class, once it is imported
TARGETS = {f"{module}.{name}": None for module, names in _LISTED.items() for name in names.split()}
# numbers in a yaml: a bound on each keeps building quick and small, and lets a slip be told
Count = Annotated[int, range(1, 65)]
Size = Annotated[int, range(1, 2**16 + 1)]
MAX_LENGTH = 16  # of a list


def register_target(cls):
    """Let yamls name a class of yours, as `module.Class`; a decorator, or a call before the yaml is read."""
    TARGETS[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return cls


def is_listed(path: str) -> bool:
    """Whether a path names a class of this project's own list, not one that somebody registered."""
    module, _, name = path.rpartition(".")
    return name in _LISTED.get(module, "").split()


def get_obj_from_str(path: str):
    """The class that a dotted path such as `cldm.cldm.ControlNet` names, of those that yamls may name."""
    if not isinstance(path, str) or path not in TARGETS:
        near = difflib.get_close_matches(str(path)[:200], TARGETS, n=1)
        hint = f", the nearest is {near[0]}" if near else ""
        raise ValueError(
            f"target {path!r:.80} is no dotted path of a class that a yaml may name{hint}; "
            "ldm.util.register_target makes one of your own known"
        )
    if TARGETS[path] is None:
        module, _, name = path.rpartition(".")
        TARGETS[path] = getattr(importlib.import_module(module), name)
    return TARGETS[path]


def instantiate_from_config(config):
    """Build `config["target"]` with keyword arguments `config["params"]` (a dict or an OmegaConf node).

    Raises:
        ValueError: the class is none that a yaml may name, or a param is unknown to it, lacking, or not what
            its constructor's hint says.
    """
    if not isinstance(config, Mapping) or "target" not in config:
        given = f"the keys {sorted(map(str, config))}" if isinstance(config, Mapping) else f"{config!r:.60}"
        raise ValueError(f"a config needs a `target` that names its class, got {given}")
    for key in config:
        if key != "base_learning_rate":  # of the published yamls; learning rates are options here
            check_known(key, ["target", "params"], "key beside target and params:")
    cls, params = get_obj_from_str(config["target"]), config.get("params")
    params = {} if params is None else params
    if not isinstance(params, Mapping):
        raise ValueError(f"params of {config['target']} must be keys with values, got {params!r:.60}")
    check_params(cls, params, config["target"])
    return cls(**params)


def check_params(function, params: Mapping, name: str):
    """Raise ValueError, which names the key and `name`, for what a function or class does not take."""
    known, takes_any = _parameters(function)
    for key, value in params.items():
        if key not in known and not takes_any:
            check_known(key, list(known), f"key of {name}:")
        if key in known and (wanted := _misfit(value, known[key][0])):
            raise ValueError(f"{key} of {name} must be {wanted}, got {value!r:.60}")
    for key, (_, default) in known.items():
        if default is inspect.Parameter.empty and key not in params:
            raise ValueError(f"{name} lacks {key}")


def _parameters(function):
    """({name: (hint, default)}, whether it takes any others): a class's, where it passes **options on, with
    those of its bases."""
    found, constructors = {}, [function]
    if inspect.isclass(function):
        constructors = [vars(kind)["__init__"] for kind in function.__mro__ if "__init__" in vars(kind)]
    for constructor in constructors:
        hints = get_type_hints(constructor, include_extras=True)
        parameters = inspect.signature(constructor).parameters.values()
        own = {
            p.name: (hints.get(p.name), p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD
        }
        found = {name: value for name, value in own.items() if name != "self"} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found, False
    return found, True


def _misfit(value, hint) -> str | None:
    """What is wanted where a yaml's value is not as a constructor's hint says; None where it is."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        wanted = [_misfit(value, argument) for argument in arguments]
        return " or ".join(wanted) if all(wanted) else None
    if kind is Annotated:
        bounds = arguments[1]
        fits = type(value) is int and value in bounds
        return None if fits else f"a whole number from {bounds.start} to {bounds.stop - 1}"
    if kind is list:
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MAX_LENGTH:
            return f"a list of {MAX_LENGTH} values at most"
        wanted = filter(None, (_misfit(item, arguments[0]) for item in value))
        return next((f"a list, each value {each}" for each in wanted), None)
    checks = {
        bool: (isinstance(value, bool), "true or false"),
        int: (type(value) is int and abs(value) <= 2**16, "a whole number"),
        float: (type(value) in (int, float) and math.isfinite(value), "a number"),
        str: (isinstance(value, str), "a text"),
        dict: (isinstance(value, Mapping), "keys with values"),
        types.NoneType: (value is None, "null"),
    }
    fits, wanted = checks.get(hint, (True, None))
    return None if fits else wanted


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
