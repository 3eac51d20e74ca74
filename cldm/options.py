"""What a training run depends on: typed options, from yaml presets and key=value."""

import difflib
from dataclasses import dataclass, field, fields

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException


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
    seed: int = option(0, "of order, noise, timesteps and prompt dropout")
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
    for source in [*(OmegaConf.load(preset) for preset in presets), OmegaConf.from_dotlist(dotlist)]:
        for key in source:
            _check_known(key)
        try:
            merged = OmegaConf.merge(merged, source)
        except OmegaConfBaseException as error:
            raise ValueError(f"{error.full_key}: {error.msg.splitlines()[0]}") from error
    options = OmegaConf.to_object(merged)
    for name in (
        "max_steps",
        "batch_size",
        "accumulate",
        "checkpoint_every",
        "measure_every",
        "sampling_steps",
    ):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")
    if not 0 <= options.prompt_dropout <= 1:
        raise ValueError(f"prompt_dropout is a share between 0 and 1, got {options.prompt_dropout}")
    return options


def _check_known(key):
    known = [f.name for f in fields(TrainOptions)]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        raise ValueError(
            f"unknown option {key!r}" + (f", did you mean {near[0]!r}?" if near else f"; known: {known}")
        )


def describe_options() -> str:
    """Every option with its default and meaning, a line each."""
    return "\n".join(f"  {f.name}={f.default}  {f.metadata['help']}" for f in fields(TrainOptions))
