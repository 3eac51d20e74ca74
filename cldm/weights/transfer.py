"""A control trained on one base, carried over to another base of its family, tensor by tensor."""

import torch

from cldm.weights.convert import DTYPES, cast, describe, read_weights
from cldm.weights.families import Weights
from cldm.weights.graft import CONTROL, UNET
from ldm.checkpoint import CheckpointError, check_finite, check_writable, write_state_dict


def move_tensor(trained, base, new):
    """What training did to a tensor of `base`, done to that of `new`: trained + new - base.

    In float64, so that it is rounded once, to the dtype of `trained`, and moving to the same base is exact.
    """
    return (trained.double() + new.double() - base.double()).to(trained.dtype)


def have_equal_values(a, b):
    """Whether two tensors have the same values; float32 holds those of either 16-bit dtype."""
    return torch.equal(a, b) if a.dtype == b.dtype else torch.equal(a.float(), b.float())


def read_base(path):
    weights = read_weights(path)
    if not weights.is_whole:
        raise CheckpointError(f"{path} holds no U-Net: a whole base is wanted")
    return weights


def move_control(trained, base, new):
    """Weights of a control with or without its base -> the same on `new`.

    A tensor of control branch or U-Net moves with its counterpart in the U-Net; one that only the branch has
    (zero convolutions, hint block) stays. Everything else is the new base's.
    """
    state = {}
    for name, tensor in trained.state.items():
        source = name.replace(CONTROL, UNET, 1) if name.startswith(CONTROL) else name
        before, after = (weights.state.get(source) for weights in (base, new))
        if not name.startswith((CONTROL, UNET)):
            state[name] = tensor if after is None else after
        elif before is None and after is None:
            state[name] = tensor
        else:
            check_shapes(source, tensor, {base.source: before, new.source: after}, trained.source)
            locked = name.startswith(UNET) and have_equal_values(tensor, before)
            state[name] = after if locked else move_tensor(tensor, before, after)
    metadata = {**trained.metadata, "base": str(new.source), "transferred_from": str(base.source)}
    return Weights(state, metadata, trained.source)


def check_shapes(name, tensor, counterparts, trained_source):
    for source, counterpart in counterparts.items():
        if counterpart is None or counterpart.shape != tensor.shape:
            found = "nothing" if counterpart is None else list(counterpart.shape)
            raise CheckpointError(
                f"{source} is of another family than {trained_source}: {name} is {found} in the former, "
                f"{list(tensor.shape)} in the latter; both bases must be of the family that was trained"
            )


def transfer(base_path, trained_path, new_path, output, dtype=None) -> str:
    """Carry the control of one file over to another base and write it; returns what was done, a line each.

    Args:
        trained_path: a whole model with control, then so is the output; or a control branch alone.
        dtype: fp32, fp16 or bf16; None keeps that of each tensor.
    """
    check_writable(output)
    base, trained, new = read_base(base_path), read_weights(trained_path), read_base(new_path)
    if not trained.has_control:
        raise CheckpointError(f"{trained_path} holds no control branch: there is nothing to carry over")
    for weights in (base, trained, new):
        check_finite(weights.state, weights.source)
    result = move_control(trained, base, new)
    if dtype:
        result.state = cast(result.state, DTYPES[dtype])
    write_state_dict(result.state, output, result.metadata)
    control = [name for name in result.state if name.startswith(CONTROL)]
    num_moved = sum(name.replace(CONTROL, UNET, 1) in base.state for name in control)
    return (
        f"control branch: {num_moved} tensors moved, {len(control) - num_moved} kept, which no base has\n"
        f"{output}: {describe(result)}"
    )
