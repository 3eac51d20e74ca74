"""Options of a training run from yaml presets and key=value."""

from dataclasses import fields
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cldm.options import TrainOptions, check_known, check_options
from cldm.prompting.parsing import options_of_policy
from cldm.training.presets import options_of

OPTIONS = "options.yaml"  # in the folder of a run
NAMED = dict(preset=options_of, prompts=options_of_policy)  # options that set others by what they name


def parse_options(presets: list, overrides: list[str]) -> TrainOptions:
    """Options from yaml presets, later over earlier, then `preset` and `prompts`, then `key=value` overrides.

    Of an override given twice the last counts. Micro-batches given by one are not counted anew from
    `effective_batch`.

    Raises:
        ValueError: an unknown key, with the nearest known one, or a value of the wrong type.
    """
    merged = OmegaConf.structured(TrainOptions)
    for override in overrides:
        if "=" not in override:
            raise ValueError(f"options are key=value, got {override!r}")
    presets, given = list(map(_read_preset, presets)), _read_overrides(overrides)
    if "accumulate" in given:
        if given.get("effective_batch"):
            raise ValueError("accumulate follows from effective_batch: give one of them, not both")
        given["effective_batch"] = 0
    chosen = {name: source[name] for source in (*presets, given) for name in NAMED if name in source}
    named = [set_by(chosen.get(name, "")) for name, set_by in NAMED.items()]
    for source in [*presets, *named, given]:
        for key in source:
            check_known(str(key), [f.name for f in fields(TrainOptions)], "option")
        try:
            merged = OmegaConf.merge(merged, source)
        except OmegaConfBaseException as error:
            raise ValueError(f"{error.full_key}: {error.msg.splitlines()[0]}") from error
    try:
        options = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ValueError(f"{error.full_key}: {error.msg.splitlines()[0]}") from error
    check_options(options)
    return options


def read_options(run: Path) -> dict:
    """The options in a run's folder; those that an older version did not have are not in it."""
    try:
        options = OmegaConf.to_container(OmegaConf.load(run / OPTIONS))
        if options and isinstance(options, dict) and None not in options.values():
            return options
    except (yaml.YAMLError, UnicodeDecodeError):
        pass
    raise ValueError(f"{run / OPTIONS} is damaged: delete it, and the run's command writes it anew")


def _read_preset(path):
    try:
        preset = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(preset, DictConfig):
        raise ValueError(f"{path} must hold options, a line `key: value` each")
    return preset


def _read_overrides(overrides):
    texts = dict(override.split("=", 1) for override in overrides)  # of one given twice the last counts
    try:
        values = OmegaConf.from_dotlist([f"{name}={text}" for name, text in texts.items() if text])
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(overrides)} is no yaml: {' '.join(str(error).split())}") from error
    # nothing behind the = is the empty text, which yaml would read as null
    return OmegaConf.merge(values, {name: "" for name, text in texts.items() if not text})


def describe_options() -> str:
    """Every option with its default and meaning, a line each."""
    return "\n".join(f"  {f.name}={f.default}  {f.metadata['help']}" for f in fields(TrainOptions))
