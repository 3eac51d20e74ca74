"""Give a Stable Diffusion checkpoint a try-on recipe's parts: garment's U-Net, new layers, wider input."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from cldm.model import create_on_meta
from cldm.tryon.unet import arrange_inputs, widen_first_convolution
from ldm.checkpoint import CheckpointError, check_finite, read_state_dict
from ldm.published_names import fill_unused, restore_names

PERSON, STEM = "model.diffusion_model.", "input_blocks.0.0.weight"
# a layer of try-on's own, and the base's that it is a copy of
COPIES = {"to_k_ref": "to_k", "to_v_ref": "to_v", "to_k_ip": "to_k", "to_v_ip": "to_v"}
ZEROS = ("to_out_ref.weight", "attn1.gate")
# what bases that repaint read behind the noisy latents: Stable Diffusion's inpainting ones, and ours
INPAINTING, REPAINTING = ("mask", "agnostic"), ("agnostic", "mask")
BESIDE = "repainting.safetensors"  # our base's first convolution with these inputs, see learning.base.stages


@dataclass
class TryonReport:
    """What came from where, in tensors by the first part of their names."""

    kept: Counter = field(default_factory=Counter)
    copied: Counter = field(default_factory=Counter)
    new: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    widened: str = ""

    def __str__(self):
        rows = []
        for title, counts in (
            ("from the base, as they are", self.kept),
            ("copies of the base's U-Net", self.copied),
            ("new", self.new),
            ("of the base, not needed", self.dropped),
        ):
            named = ", ".join(f"{count} of {part}" for part, count in counts.items())
            rows.append(f"{title + ':':<30}{named or 'none'}")
        return "\n".join(rows + [self.widened] * bool(self.widened))


def graft_recipe(base, config_path, path="the base", seed=0, parts=None, repainting=None):
    """A base's tensors by name -> (those of a recipe's model, a TryonReport).

    The person's first convolution begins as the base's, with zeros for what it has not read.

    Args:
        path: names the base in errors.
        seed: of what is new.
        parts: files of weights by the name of a part of the model, `garment_encoder` say.
        repainting: the base's first convolution (c, n, 3, 3) with the inputs REPAINTING. Recipes that read
            these begin with it.

    Raises:
        CheckpointError: tensors are missing, of another shape, or no numbers.
    """
    model = create_on_meta(config_path)
    wanted, report = model.state_dict(), TryonReport()
    base = fill_unused(restore_names(base), model)
    state, fresh = {}, []
    width, inputs = wanted[PERSON + STEM].shape[1], model.inputs
    if sum(inputs.values()) != width:
        inputs = dict(noisy=model.channels)  # a condition of somebody's own doesn't say what it fills
    stem, report.widened = _make_stem(base[PERSON + STEM], inputs, width, repainting)
    base = base | {PERSON + STEM: stem}  # of which a garment's network copies the noisy latents' part
    given = _read_parts(model, parts or {})
    for name, tensor in wanted.items():
        part = name.split(".")[0]
        source, kind = _source_of(name, tensor, base, given)
        if source is None and not tensor.is_meta:
            state[name] = tensor  # a schedule, exact by the yaml
        elif source is None and name.endswith(ZEROS):
            state[name], report.new[part] = torch.zeros(tensor.shape), report.new[part] + 1
        elif source is None:
            fresh.append(name)
            report.new[part] += 1
        else:
            if source.shape != tensor.shape:
                raise CheckpointError(
                    f"{path} does not fit {config_path}: {name} is {list(source.shape)} in the file, "
                    f"{list(tensor.shape)} in the yaml"
                )
            getattr(report, kind)[part] += 1
            state[name] = source
    state |= _make_fresh(model, fresh, seed, path, config_path)
    check_finite({name: state[name] for name in wanted}, path)
    used = {PERSON + STEM, *wanted}
    report.dropped.update(name.split(".")[0] for name in base if name not in used)
    return {name: state[name] for name in wanted}, report


def read_repainting(base, path):
    """The first convolution that lies beside a base's file with the inputs REPAINTING; None if none does.

    Raises:
        CheckpointError: it is another base's.
    """
    beside = Path(path).with_name(BESIDE)
    if not beside.is_file():
        return None
    found, own = read_state_dict(beside).get(PERSON + STEM), base[PERSON + STEM]
    width = 2 * own.shape[1] + 1
    if found is None or found.shape[1] != width or not torch.equal(found[:, : own.shape[1]], own):
        raise CheckpointError(
            f"{beside} is not of {path}: its first convolution must have {width} inputs, the noisy latents' "
            "as in the base; move it elsewhere to graft without it"
        )
    return found


def _make_stem(own, inputs: dict[str, int], width: int, repainting):
    """(the first convolution (c, width, 3, 3) of a recipe, what to say of it), from a base's own.

    `inputs` of the recipe count by name what a base is known to read: that is put in the recipe's order. Of
    another base the channels stay in place.
    """
    latent, weight, source = inputs["noisy"], own, "The first convolution"
    order = INPAINTING if own.shape[1] == 2 * latent + 1 else ()
    if repainting is not None and set(REPAINTING) <= inputs.keys():
        weight, order, source = repainting, REPAINTING, f"The first convolution is {BESIDE}'s and"
    new = f"; the new {width - weight.shape[1]} start at zero" * (weight.shape[1] < width)
    said = f"{source} reads {width} channels{new}." if new or weight is repainting else ""
    if order and set(order) <= inputs.keys():
        reads = {"noisy": latent} | {name: inputs[name] for name in order}
        return arrange_inputs(weight, reads, inputs), said
    return (widen_first_convolution(weight, width) if new else weight), said


def _source_of(name, tensor, base, given):
    """(the tensor that a name is filled from or None, the report's column)."""
    if name in given:
        return given[name], "kept"
    if name in base:
        source = base[name]
        if not tensor.is_meta and source.dtype != tensor.dtype:
            return None, "new"  # rounded to 16 bits along with the weights: the yaml's own is exact
        return source, "kept"
    prefix, _, rest = name.partition(".")
    if prefix.endswith("_first"):
        source = base.get(PERSON + STEM.removesuffix("weight") + rest)
    elif prefix.endswith(("_model", "model")) and prefix != "first_stage_model":
        source = base.get(PERSON + rest) if prefix != "model" else None
    else:
        source = None
    if source is None and prefix == "model":
        layer = next((new for new in COPIES if f".{new}." in name), None)
        source = base.get(name.replace(layer, COPIES[layer])) if layer else None
    if source is not None and source.ndim == 4 and source.shape[1] > tensor.shape[1]:
        source = source[:, : tensor.shape[1]]  # a garment is read without mask and agnostic person
    return (None if source is None else source.to(torch.float32, copy=True)), "copied"


def _read_parts(model, parts: dict[str, str | Path]) -> dict[str, torch.Tensor]:
    """Tensors of files for whole parts of the model, by full name."""
    given = {}
    for part, file in parts.items():
        module = getattr(model, part, None)
        if not isinstance(module, nn.Module):
            known = ", ".join(name for name, _ in model.named_children())
            raise ValueError(f"the recipe has no part {part!r}; it has {known}")
        state, wanted = read_state_dict(file), module.state_dict()
        missing = [name for name in wanted if name not in state]
        if missing:
            raise CheckpointError(f"{file} lacks {len(missing)} tensors of {part}, the first is {missing[0]}")
        given |= {f"{part}.{name}": state[name] for name in wanted}
    return given


def _make_fresh(model, names, seed, path, config_path) -> dict[str, torch.Tensor]:
    """Tensors that no base has, drawn from a seed; only of layers that try-on adds.

    Raises:
        CheckpointError: one belongs to the base, which lacks it.
    """
    own = tuple(f"{part}." for c in model.conditions.values() for part in c.parts())
    if lacking := [name for name in names if not name.startswith(own)]:
        raise CheckpointError(
            f"{path} lacks {len(lacking)} tensors of {config_path}, the first is {lacking[0]}"
        )
    made = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            owner, _, leaf = name.rpartition(".")
            layer = model.get_submodule(owner)
            if f"{owner}." in {f"{made_name.rpartition('.')[0]}." for made_name in made}:
                continue
            if not hasattr(layer, "reset_parameters"):
                shape = getattr(layer, leaf).shape
                made[name] = torch.randn(shape) / max(shape[-1], 1) ** 0.5
                continue
            layer.to_empty(device="cpu")
            layer.reset_parameters()
            made |= {f"{owner}.{key}": value.detach() for key, value in layer.state_dict().items()}
    _zero_what_starts_at_zero(made)
    return {name: made[name] for name in names}


def _zero_what_starts_at_zero(made):
    """A control branch's zero convolutions and the last of its hint block."""
    hints = [name for name in made if ".input_hint_block." in name]
    last = max((int(name.split(".")[2]) for name in hints), default=-1)
    for name, tensor in made.items():
        if ".zero_convs." in name or ".middle_block_out." in name or f".input_hint_block.{last}." in name:
            tensor.zero_()
