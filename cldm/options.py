"""What a training run depends on: typed options, from yaml presets and key=value."""

import difflib
import math
from dataclasses import dataclass, field, fields

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

RANGES = (  # options, lowest value, highest value
    ("max_steps batch_size accumulate checkpoint_every measure_every measure_maps", 1, math.inf),
    ("warmup_steps image_log_every num_workers", 0, math.inf),
    ("seed", 0, 2**32 - 1),
    ("sampling_steps", 1, 1000),
    ("guidance", 0, 100),
    ("prompt_dropout", 0, 1),
    ("learning_rate", 0, 1),
    ("zero_conv_factor", 0, 1000),
)


def option(default, help):
    return field(default=default, metadata=dict(help=help))


@dataclass
class TrainOptions:
    """Everything a run depends on. Steps are optimizer steps, however many micro-batches each accumulates."""

    run: str = option("runs/control", "folder of this run; the same command again resumes it")
    data: str = option("training/dolls", "training folder with prompt.json")
    model: str = option("models/cldm_v15.yaml", "yaml of the model")
    base: str = option(
        "models/control_sd15_ini.ckpt", "grafted checkpoint to start from (tool_add_control.py)"
    )
    segmenter: str = option("", "weights of the judge of control mIoU; empty: do not measure")
    max_steps: int = option(20000, "optimizer steps in all")
    batch_size: int = option(4, "pictures per micro-batch and device")
    accumulate: int = option(1, "micro-batches per optimizer step")
    learning_rate: float = option(1e-5, "of AdamW, after warm-up")
    zero_conv_factor: float = option(1.0, "learning rate factor for zero convolutions and hint block")
    warmup_steps: int = option(0, "steps over which the learning rate rises from 0")
    prompt_dropout: float = option(0.5, "share of prompts replaced by the empty one")
    sd_locked: bool = option(True, "false: train the U-Net's decoder as well")
    only_mid_control: bool = option(False, "control through the middle residual alone")
    recompute: bool = option(True, "recompute activations in the backward pass: less memory, more time")
    precision: str = option(
        "auto", "Lightning's precision; auto: bf16-mixed where the device computes it, else 32-true"
    )
    num_workers: int = option(4, "processes that load pictures")
    cached: bool = option(True, "take latents and prompts from the data's cache, where it has one")
    flip: bool = option(False, "mirror half of the pictures and maps, unless a prompt says left or right")
    seed: int = option(0, "of order, flips, noise, timesteps and prompt dropout")
    image_log_every: int = option(1000, "steps between image grids in image_log/; 0: none")
    checkpoint_every: int = option(1000, "steps between checkpoints")
    full_checkpoints: bool = option(False, "also write the whole model, not only what was trained")
    measure_every: int = option(1000, "steps between measurements of control mIoU")
    measure_maps: int = option(32, "held-out maps per measurement")
    sampling_steps: int = option(20, "sampler steps per measured or logged picture")
    guidance: float = option(9.0, "guidance scale of measured and logged pictures")


def parse_options(presets: list, overrides: list[str]) -> TrainOptions:
    """Options from yaml presets, later over earlier, and `key=value` overrides.

    Raises:
        ValueError: an unknown key, with the nearest known one, or a value of the wrong type.
    """
    merged = OmegaConf.structured(TrainOptions)
    dotlist = [override for override in overrides if "=" in override]
    if len(dotlist) != len(overrides):
        raise ValueError(f"options are key=value, got {(set(overrides) - set(dotlist)).pop()!r}")
    for source in [*map(_read_preset, presets), _read_overrides(dotlist)]:
        for key in source:
            _check_known(key)
        try:
            merged = OmegaConf.merge(merged, source)
        except OmegaConfBaseException as error:
            raise ValueError(f"{error.full_key}: {error.msg.splitlines()[0]}") from error
    try:
        options = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ValueError(f"{error.full_key}: {error.msg.splitlines()[0]}") from error
    _check_ranges(options)
    return options


def _read_preset(path):
    try:
        preset = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(preset, DictConfig):
        raise ValueError(f"{path} must hold options, a line `key: value` each")
    return preset


def _read_overrides(dotlist):
    empty = [override for override in dotlist if override.index("=") == len(override) - 1]
    try:
        values = OmegaConf.from_dotlist([override for override in dotlist if override not in empty])
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(dotlist)} is no yaml: {' '.join(str(error).split())}") from error
    # nothing behind the = is the empty text, which yaml would read as null
    return OmegaConf.merge(values, {override[:-1]: "" for override in empty})


def _check_ranges(options):
    for names, low, high in RANGES:
        for name in names.split():
            value = getattr(options, name)
            if not low <= value <= high:
                wanted = f"at least {low}" if high == math.inf else f"between {low} and {high}"
                raise ValueError(f"{name} must be {wanted}, got {value}")
    for name in ("run", "data", "model", "base", "precision"):
        if not getattr(options, name):
            raise ValueError(f"{name} must not be empty")


def _check_known(key):
    key = str(key)
    known = [f.name for f in fields(TrainOptions)]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        raise ValueError(
            f"unknown option {key!r}" + (f", did you mean {near[0]!r}?" if near else f"; known: {known}")
        )


def describe_options() -> str:
    """Every option with its default and meaning, a line each."""
    return "\n".join(f"  {f.name}={f.default}  {f.metadata['help']}" for f in fields(TrainOptions))
