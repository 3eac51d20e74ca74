"""The model that a run trains: weights, the table of what trains and what is locked, precision, compiling."""

import logging
import os
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from batches.cache.encoders import read_encoders
from cldm.model import create_on_meta, load_model
from cldm.optimizer import parameter_groups
from cldm.tryon.model import TryonLDM
from jobs.devices import fast_layout, own_device
from learning.options import TrainOptions
from learning.verified_files import VerifiedIO

# attributes of the model that are options of the same name
FROM_OPTIONS = """learning_rate zero_conv_factor warmup_steps lr_schedule max_steps optimizer
prompt_dropout hint_dropout min_snr_gamma sd_locked only_mid_control""".split()

# of these a try-on recipe has its own, or they change maps
OF_CONTROL = """prompt_dropout hint_dropout sd_locked only_mid_control zero_conv_factor min_snr_gamma prompts
mask_dilation mask_simplification segmenter after_convergence align align_at""".split()


def resolve_precision(precision: str) -> str:
    """`auto` -> bf16-mixed where the first device has units for it, 16-mixed on older GPUs, else 32-true."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        # emulation, which T4, V100 and RTX 20xx have, is slower than computing in fp32
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


def build_model(options: TrainOptions, without=()):
    """The grafted model with the options that concern it; locked weights may stay in 16 bit on a GPU.

    `without` names what of cldm.parts_present.STAGES is left on the disk until `stages_present` asks for
    it.
    """
    model = set_up(load_model(options.model, options.base, without), options)
    model.load_stages = lambda: read_encoders(options.base, options.model)[0].float()
    halved = torch.cuda.is_available() and resolve_precision(options.precision) == "bf16-mixed"
    model.cast_locked(torch.bfloat16 if halved else torch.float32)
    for network in model.networks():
        network.to(memory_format=fast_layout(own_device()))
        if options.compile:
            network.compile()
    model.strict_loading = False  # a resumed checkpoint holds the trained weights alone
    return model.train()


def outline_model(options: TrainOptions, without=()):
    """As `build_model` on a GPU, with weights that have neither content nor memory: to count, not to run."""
    model = create_on_meta(options.model)
    model.leave_out_stages(without)
    model = set_up(model, options)
    model.cast_locked(torch.bfloat16 if options.precision == "bf16-mixed" else torch.float32)
    # the latter for Lightning, which still takes meta for its device
    return model.to_empty(device="cpu").to("cpu").train()


def set_up(model, options: TrainOptions):
    """The model with the options that concern it."""
    for name in FROM_OPTIONS:
        setattr(model, name, getattr(options, name))
    if isinstance(model, TryonLDM):
        model.let_train(options.train, options.learning_rates)
    else:
        model.align_with(options.align, options.align_at)
    if options.zero_terminal_snr:
        model.use_zero_terminal_snr()
    # fused steps unscale gradients themselves, past our clipping
    model.fused = resolve_precision(options.precision) != "16-mixed"
    for module in model.modules():
        if hasattr(module, "use_checkpoint"):
            module.use_checkpoint = options.recompute
    model.lock()
    return model


def check_keys(model, item: dict, yaml):
    """Raise ValueError where a yaml names keys that the items of a dataset lack."""
    for name, key in model.wanted_keys():
        # an item that was encoded before brings no pictures
        encoded_before = "moments" in item and name not in ("cond_stage_key", "control_key")
        if key not in item and not encoded_before:
            raise ValueError(f"{yaml}: {name} is {key!r}, but the items of the data have {', '.join(item)}")


def check_options_of_recipe(options: TrainOptions, model):
    """Raise ValueError for an option of control's that a try-on recipe would not heed, or the other way."""
    if not isinstance(model, TryonLDM):
        for name in ("train", "learning_rates"):
            for part, value in getattr(options, name).items():
                raise ValueError(
                    f"{name}.{part}={value} is for a try-on recipe, and {options.model} is none: a control "
                    "trains its branch, and with sd_locked=false the U-Net's decoder"
                )
        return
    for name in OF_CONTROL:
        value, default = getattr(options, name), TrainOptions.__dataclass_fields__[name].default
        if value != default:
            raise ValueError(
                f"{name}={value} is for a control: in {options.model}, a try-on recipe, each condition says "
                "its own dropout, train_unet what trains of the U-Net; train.unet=CHOICE changes that"
            )


def describe_trainable(model) -> str:
    """What trains and what is locked: module, tensors, parameters, dtype, learning rate, a line each."""
    rates = {p: group["lr"] for group in parameter_groups(model) for p in group["params"]}
    rows = [f"{'module':<40}{'tensors':>8}{'parameters':>14}  dtype           learning rate"]
    chosen = {}
    if isinstance(model, TryonLDM):
        parts, choices = model.part_modules(), model.choices()
        chosen = {name: f", train.{part}={choices[part]}" for part, names in parts.items() for name in names}
    for name, module in model.named_children():
        for trains in (True, False):
            part = [p for p in module.parameters() if p.requires_grad == trains]
            if part:
                dtypes = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in part}))
                rate = ", ".join(f"{r:g}" for r in sorted({rates[p] for p in part})) if trains else "locked"
                named = name + chosen.get(name, "") * trains
                rows.append(
                    f"{named:<40}{len(part):>8}{sum(p.numel() for p in part):>14,}  {dtypes:<15} {rate}"
                )
    return "\n".join(rows)


def choose_processes(options: TrainOptions) -> dict:
    """Trainer's devices, num_nodes, strategy: the processes that torchrun started, else those asked for."""
    cores = os.cpu_count() or 1
    if not torch.distributed.is_torchelastic_launched():
        if not torch.accelerator.device_count() and options.devices > cores:
            raise ValueError(
                f"devices={options.devices}: there is no accelerator, and the processor has {cores} cores"
            )
        return dict(devices=options.devices or "auto", num_nodes=options.num_nodes, strategy=options.strategy)
    local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    for name, asked, started in (
        ("devices", options.devices, local),
        ("num_nodes", options.num_nodes, world // local),
    ):
        if asked not in (TrainOptions.__dataclass_fields__[name].default, started):
            raise ValueError(f"{name}={asked}, but torchrun has started {started}: leave {name} to torchrun")
    return dict(devices=local, num_nodes=world // local, strategy=options.strategy)


def count_processes(options: TrainOptions) -> int:
    """How many processes, a device each, a run with these options spans."""
    started = choose_processes(options)
    automatic = max(1, torch.accelerator.device_count())
    return started["num_nodes"] * (automatic if started["devices"] == "auto" else started["devices"])


def make_trainer(options: TrainOptions, callbacks):
    """Without Lightning's own bar, checkpoints and sampler: callbacks and data bring theirs."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "Found .* module.* in eval mode")  # the locked ones, on purpose
    warnings.filterwarnings("ignore", ".*LeafSpec")
    plugins = [VerifiedIO()]
    if not torch.distributed.is_torchelastic_launched() and SLURMEnvironment.detect():
        # Lightning would save in the middle of a step, where no run can be resumed exactly
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        return pl.Trainer(
            default_root_dir=options.run,
            max_steps=options.max_steps,
            max_epochs=-1,
            accumulate_grad_batches=options.accumulate,
            precision=resolve_precision(options.precision),
            **choose_processes(options),
            plugins=plugins,
            callbacks=callbacks,
            logger=False,
            log_every_n_steps=0,  # Metrics logs, without stalling the device in each step
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise ValueError(f"devices={options.devices} strategy={options.strategy}: {error}") from error
