"""One training run: its options, and the wiring of model, data and callbacks into Lightning's Trainer."""

import difflib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from omegaconf import OmegaConf


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
        except Exception as error:
            raise ValueError(str(error).splitlines()[0]) from error
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


def resolve_precision(precision: str) -> str:
    """`auto` -> bf16-mixed where the first device has bf16 matrix units, else 32-true."""
    import torch

    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


def build_model(options: TrainOptions):
    """The grafted model with the options that concern it; locked weights may stay in 16 bit on a GPU."""
    import torch

    from cldm.model import load_model

    model = load_model(options.model, options.base)
    model.float()
    model.seed, model.learning_rate = options.seed, options.learning_rate
    model.zero_conv_factor, model.warmup_steps = options.zero_conv_factor, options.warmup_steps
    model.prompt_dropout, model.sd_locked = options.prompt_dropout, options.sd_locked
    model.only_mid_control = options.only_mid_control
    for module in model.modules():
        if hasattr(module, "use_checkpoint"):
            module.use_checkpoint = options.recompute
    if torch.cuda.is_available() and resolve_precision(options.precision) == "bf16-mixed":
        for part in (model.model, model.cond_stage_model):
            for parameter in part.parameters():
                parameter.data = parameter.data if parameter.requires_grad else parameter.data.bfloat16()
    return model


def trainable_table(model) -> str:
    """What trains and what is locked: module, tensors, parameters, dtype, learning rate, a line each."""
    rows = [f"{'module':<34}{'tensors':>8}{'parameters':>14}  dtype           learning rate"]
    for name, module in model.named_children():
        for trains in (True, False):
            part = [p for p in module.parameters() if p.requires_grad == trains]
            if part:
                dtypes = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in part}))
                rate = f"{model.learning_rate:g}" if trains else "locked"
                rows.append(
                    f"{name:<34}{len(part):>8}{sum(p.numel() for p in part):>14,}  {dtypes:<15} {rate}"
                )
    return "\n".join(rows)


def train(options: TrainOptions, dataset, held_out=None, encoder=None, judge=None):
    """Train, or go on training, and leave checkpoints, image log, curve and options in the run folder.

    Args:
        dataset: items dict(jpg, txt, hint).
        held_out: the same, not trained on, for control mIoU; with `encoder`, the HintEncoder of the data, and
            `judge`, uint8 pictures (n, H, W, 3) -> region ids (n, H, W).
    """
    import pytorch_lightning as pl

    from cldm.callbacks import Checkpoints, ControlMetric, Progress
    from cldm.data import TrainingData
    from cldm.logger import ImageLogger

    run = Path(options.run)
    run.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.structured(options), run / "options.yaml")
    pl.seed_everything(options.seed, verbose=False)
    model = build_model(options)
    print(trainable_table(model))
    callbacks = []
    if judge is not None:
        callbacks.append(ControlMetric(run, held_out, encoder, judge, options))
    if options.image_log_every:
        sampling = dict(ddim_steps=options.sampling_steps, unconditional_guidance_scale=options.guidance)
        callbacks.append(ImageLogger(options.image_log_every, log_images_kwargs=sampling))
    metadata = dict(options=asdict(options), hint=encoder.metadata() if encoder else None)
    callbacks += [Checkpoints(run, options, metadata), Progress(options)]
    trainer = pl.Trainer(
        default_root_dir=run,
        max_steps=options.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=options.accumulate,
        precision=resolve_precision(options.precision),
        callbacks=callbacks,
        logger=pl.loggers.CSVLogger(run, name="", version="log"),
        log_every_n_steps=10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    model.strict_loading = False
    data = TrainingData(dataset, options.batch_size, options.seed, options.accumulate, options.num_workers)
    last = run / "last.ckpt"
    trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
    return model
