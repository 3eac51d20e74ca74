"""What a training run depends on: typed options, and the values that each may take."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from batches.prompt_policies import options_of_policy
from jobs.options import option
from jobs.parallel import default_workers
from jobs.yaml_files import read_yaml
from ldm.util import check_known

RANGES = (  # options, lowest value, highest value
    (
        "max_steps batch_size accumulate checkpoint_every measure_every measure_maps samples_every num_nodes",
        1,
        math.inf,
    ),
    ("warmup_steps image_log_every workers effective_batch devices keep_every", 0, math.inf),
    ("min_snr_gamma gradient_clip max_bad_steps", 0, math.inf),
    ("mask_dilation mask_simplification", 0, 128),
    ("seed", 0, 2**32 - 1),
    ("sampling_steps", 1, 1000),
    ("guidance", 0, 100),
    ("prompt_dropout hint_dropout learning_rate", 0, 1),
    ("ema_decay", 0, 0.999999),
    ("align", 0, 100),
    ("zero_conv_factor", 0, 1000),
)
CHOICES = dict(
    optimizer=("adamw", "adamw8bit", "muon"),
    lr_schedule=("constant", "linear", "cosine"),
    tracker=("none", "tensorboard", "wandb"),
)


@dataclass
class TrainOptions:
    """Everything a run depends on. Steps are optimizer steps, however many micro-batches each accumulates."""

    run: str = option("runs/control", "The folder of this run. The same command again resumes it.")
    data: str = option("training/dolls", "The training folder, with its prompt.json.")
    model: str = option("models/cldm_v15.yaml", "The yaml of the model.")
    base: str = option(
        "models/control_sd15_ini.ckpt", "The grafted checkpoint to start from. tool_add_control.py makes it."
    )
    segmenter: str = option("", "The weights of the judge of control mIoU. Without one, it is not measured.")
    dry_run: bool = option(False, "Print what would train, its memory and the data's rate, and stop.")
    # batches and memory
    preset: str = option(
        "", "The memory of the card: 12gb, 16gb, 24gb, 40gb, 48gb or 80gb. It sets the next six options."
    )
    precision: str = option(
        "auto", "Lightning's precision, such as 32-true. auto takes bf16-mixed where the device computes it."
    )
    recompute: bool = option(
        True, "Compute activations again in the backward pass: it takes less memory and more time."
    )
    optimizer: str = option(
        "adamw",
        "The optimizer: adamw, adamw8bit of bitsandbytes, which takes a quarter of its memory, or muon, "
        "which takes half of it.",
    )
    batch_size: int = option(4, "How many pictures each device takes at once.")
    accumulate: int = option(1, "How many micro-batches of that size a step takes.")
    effective_batch: int = option(
        0, "How many pictures a step takes: it sets accumulate. 0 leaves accumulate as it is."
    )
    compile: bool = option(
        False, "Compile U-Net and branch by torch.compile: minutes at the start, faster steps afterwards."
    )
    # optimization
    max_steps: int = option(20000, "How many optimizer steps the training has in all.")
    learning_rate: float = option(1e-5, "The learning rate after the warm-up.")
    zero_conv_factor: float = option(
        1.0, "The factor of the learning rate for zero convolutions and hint block."
    )
    warmup_steps: int = option(0, "Over how many steps the learning rate rises from 0.")
    lr_schedule: str = option(
        "constant", "How the learning rate goes on: constant, or linear or cosine to 0 at max_steps."
    )
    gradient_clip: float = option(1.0, "The largest norm that a step's gradient may have. 0 allows any.")
    ema_decay: float = option(
        0.0, "Average the trained weights over the steps, by 0.999 for example. 0 does not."
    )
    min_snr_gamma: float = option(
        0.0, "Weigh timesteps by min(SNR, gamma), which is 5 in the paper. 0 weighs all alike."
    )
    align: float = option(
        0.0, "How much the alignment term counts, which is 0.2 in its paper (LISA). 0 leaves it out."
    )
    align_at: str = option(
        "down_5", "Which features of the branch are aligned: down_0 is the outermost, mid the innermost."
    )
    zero_terminal_snr: bool = option(False, "End the noise schedule in pure noise. This is for v-prediction.")
    prompts: str = option(
        "", "How prompts are built: a name in models/prompts or a yaml. Without it, they stay as they are."
    )
    prompt_dropout: float = option(0.5, "The share of prompts that become the empty one.")
    hint_dropout: float = option(0.0, "The share of maps that become an empty one.")
    mask_dilation: int = option(
        0, "Grow or shrink regions by up to so many pixels, so that rough maps work, too."
    )
    mask_simplification: int = option(0, "Straighten outlines by up to so many pixels, to the same end.")
    after_convergence: str = option(
        "", "What changes once the map is obeyed: accumulate:N takes N micro-batches a step."
    )
    sd_locked: bool = option(True, "Leave the U-Net's decoder as it is. false trains it, too.")
    only_mid_control: bool = option(False, "Control through the middle residual alone.")
    max_bad_steps: int = option(10, "Stop after so many steps whose loss or gradient is no number.")
    # data and devices
    workers: int = option(
        default_workers, "How many processes load pictures: one for each core of the machine, 16 at most."
    )
    cached: bool = option(True, "Take latents and prompts from the data's cache, where it has one.")
    flip: bool = option(False, "Mirror half of the pictures and maps, unless a prompt says left or right.")
    seed: int = option(0, "What the order, flips, noise and everything else random are drawn from.")
    devices: int = option(0, "How many devices of the machine take part. 0 takes all.")
    num_nodes: int = option(1, "How many machines take part.")
    strategy: str = option("auto", "Lightning's strategy: auto, ddp, fsdp and so on.")
    # parts of a try-on recipe: unet, which is the person's U-Net, and the names of conditions with networks
    train: dict[str, str] = option(
        dict, "What trains of a part, train.unet=attn1 for example. Without it, the recipe says."
    )
    learning_rates: dict[str, float] = option(
        dict, "The learning rate of a part, learning_rates.garment=1e-5 say. Without it, it is learning_rate."
    )
    # what is left behind
    image_log_every: int = option(1000, "After how many steps image_log/ gets pictures. 0 draws none.")
    checkpoint_every: int = option(1000, "After how many steps a checkpoint is written.")
    keep_every: int = option(
        0, "After how many steps a checkpoint is kept for good. With 0, the newest and best are kept."
    )
    full_checkpoints: bool = option(False, "Write the whole model, too, not only what was trained.")
    measure_every: int = option(1000, "After how many steps the held-out maps are measured.")
    measure_maps: int = option(32, "How many held-out maps are measured.")
    sampling_steps: int = option(20, "How many steps the sampler makes of a measured or logged picture.")
    guidance: float = option(9.0, "The scale of classifier-free guidance for these pictures.")
    samples: str = option(
        "", "A yaml of own maps and prompts, or of persons and garments, that are drawn while it trains."
    )
    samples_every: int = option(1000, "After how many steps these samples are drawn.")
    tracker: str = option(
        "none",
        "What else shows the run's numbers and pictures: tensorboard or wandb, by files in its folder.",
    )
    tracker_online: bool = option(False, "Let wandb upload them. Without it, nothing leaves this machine.")


def check_options(options: TrainOptions):
    """Raise ValueError for the first option whose value no run can be made from."""
    for names, low, high in RANGES:
        for name in names.split():
            value = getattr(options, name)
            if not low <= value <= high:
                wanted = f"at least {low}" if high == math.inf else f"between {low} and {high}"
                raise ValueError(f"{name} must be {wanted}, got {value}")
    for part, rate in options.learning_rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(f"learning_rates.{part} must be between 0 and 1, got {rate}")
    for name in ("run", "data", "model", "base", "precision", "strategy"):
        if not getattr(options, name):
            raise ValueError(f"{name} must not be empty")
    for name, choices in CHOICES.items():
        if getattr(options, name) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(options, name)!r}")
    read_accumulation_after(options)


def read_accumulation_after(options: TrainOptions) -> int:
    """The N of `after_convergence=accumulate:N`, 0 where it is empty."""
    if not options.after_convergence:
        return 0
    action, _, number = options.after_convergence.partition(":")
    if action != "accumulate" or not number.isdecimal() or not int(number):
        raise ValueError(
            f"after_convergence must be empty or accumulate:N, 32 micro-batches say, "
            f"got {options.after_convergence!r}"
        )
    return int(number)


def _fit(batch_size, recompute=False, optimizer="adamw"):
    options = dict(precision="bf16-mixed", recompute=recompute, optimizer=optimizer, batch_size=batch_size)
    return options | dict(effective_batch=32)


# By learning/dry_run.py, from a cache; docs/expect.md has the arithmetic. About 2 GiB stay free
# for other sizes and for what else is on the card.
PRESETS = {
    "12gb": _fit(4, recompute=True),
    "16gb": _fit(4),
    "24gb": _fit(8),
    "40gb": _fit(16),
    "48gb": _fit(32),
    "80gb": _fit(32),
}
# Of a try-on recipe, by how many million numbers train at most: attention alone, one U-Net, two. A card
# that is left out holds no such recipe. docs/tryon.md has the arithmetic, of pictures of 512 x 384.
TRYON_PRESETS = {
    150: {
        "12gb": _fit(8, recompute=True),
        "16gb": _fit(4),
        "24gb": _fit(8),
        "40gb": _fit(16),
        "48gb": _fit(16),
        "80gb": _fit(32),
    },
    1100: {
        "16gb": _fit(2, recompute=True, optimizer="adamw8bit"),
        "24gb": _fit(8, recompute=True),
        "40gb": _fit(8),
        "48gb": _fit(16),
        "80gb": _fit(32),
    },
    1800: {
        "24gb": _fit(4, recompute=True, optimizer="adamw8bit"),
        "40gb": _fit(4),
        "48gb": _fit(8),
        "80gb": _fit(16),
    },
}


def find_tryon_presets(millions: float) -> dict[str, dict]:
    """The presets of a recipe of which so many million numbers train."""
    return next((found for most, found in TRYON_PRESETS.items() if millions <= most), {})


def set_by_preset(preset: str, model: str, train: dict) -> dict:
    """The options that a preset sets for the model of a yaml, none for the empty one.

    train: what trains of a try-on recipe, where the recipe is not to say it.
    """
    if not preset:
        return {}
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, or empty, got {str(preset)!r}")
    from cldm.model import create_on_meta, is_tryon

    if not is_tryon(model):
        return PRESETS[preset]
    recipe = create_on_meta(model)
    recipe.let_train(train, {})
    millions = sum(p.numel() for p in recipe.parameters() if p.requires_grad) / 1e6
    presets = find_tryon_presets(millions)
    if preset not in presets:
        less = [f"train.{part}={choice}" for part, choice in recipe.attention_alone().items()]
        others = ", ".join(f"preset={name}" for name in presets) or "the options that dry_run=true counts"
        raise ValueError(
            f"preset={preset}: {model} trains {millions:,.0f} million numbers, too many for such a card: "
            f"give {' '.join(less)}, or one of {others}"
        )
    return presets[preset]


def set_accumulation(options: TrainOptions, num_devices: int) -> TrainOptions:
    """The options with `accumulate` such that a step takes at least `effective_batch` pictures, if set."""
    if not options.effective_batch:
        return options
    per_micro_batch = options.batch_size * num_devices
    return replace(options, accumulate=math.ceil(options.effective_batch / per_micro_batch))


OPTIONS = "options.yaml"  # in the folder of a run


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
    chosen = dict(preset="", prompts="", model=TrainOptions.model, train={})
    for source in (*presets, given):
        chosen |= {name: source[name] for name in ("preset", "prompts", "model") if name in source}
        train = source.get("train", {})
        chosen["train"] |= train if OmegaConf.is_dict(train) else {}
    named = [
        set_by_preset(chosen["preset"], chosen["model"], chosen["train"]),
        options_of_policy(chosen["prompts"]),
    ]
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
        options = read_yaml(run / OPTIONS)
        if options and isinstance(options, dict) and None not in options.values():
            return options
    except ValueError:
        pass
    raise ValueError(f"{run / OPTIONS} is damaged: delete it, and the run's command writes it anew")


def _read_preset(path):
    preset = read_yaml(path)
    if not isinstance(preset, dict):
        raise ValueError(f"{path} must hold options, a line `key: value` each")
    return OmegaConf.create(preset)


def _read_overrides(overrides):
    texts = dict(override.split("=", 1) for override in overrides)  # of one given twice the last counts
    try:
        values = OmegaConf.from_dotlist([f"{name}={text}" for name, text in texts.items() if text])
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(overrides)} is no yaml: {' '.join(str(error).split())}") from error
    for name in (name for name, text in texts.items() if not text):
        OmegaConf.update(values, name, "")  # nothing behind the = is the empty text, which yaml reads as null
    return values
