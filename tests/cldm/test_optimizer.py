"""What the optimizer changes how fast: groups, weight decay, schedules, and AdamW by its paper."""

import math
import sys

import pytest
import torch

from cldm.muon import Muon, orthogonalize
from cldm.optimizer import build_optimizer, configure_optimizer, parameter_groups, rate_factor
from small import small_model


@pytest.fixture
def model():
    model = small_model(zeros=False).train()
    model.learning_rate, model.zero_conv_factor, model.weight_decay = 1e-3, 10.0, 0.1
    return model


def named_groups(model):
    """Of each name: (learning rate, weight decay)."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model)
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


@pytest.mark.parametrize("locked", [True, False])
def test_each_trained_parameter_is_in_one_group_and_no_other(model, locked):
    model.sd_locked = locked
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert named_groups(model).keys() == trains
    assert sum(len(group["params"]) for group in parameter_groups(model)) == len(trains)


def test_weights_decay_only_in_matrices_and_kernels_that_did_not_start_at_zero(model):
    parameters = dict(model.named_parameters())
    for name, (_, decay) in named_groups(model).items():
        zero = name.startswith(("control_model.zero_convs.", "control_model.middle_block_out."))
        assert decay == (0.1 if parameters[name].ndim > 1 and not zero else 0.0), name
    groups = named_groups(model)
    assert groups["control_model.input_hint_block.0.weight"][1] == 0.1
    assert groups["control_model.input_blocks.0.0.bias"][1] == 0


def test_new_layers_learn_by_their_factor_faster(model):
    new = ("control_model.zero_convs.", "control_model.middle_block_out.", "control_model.input_hint_block.")
    for name, (rate, _) in named_groups(model).items():
        assert rate == pytest.approx(1e-2 if name.startswith(new) else 1e-3), name


def test_schedules_rise_and_fall_as_their_formulas_say():
    for name in ("constant", "linear", "cosine"):
        assert [rate_factor(step, name, 4, 20) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert rate_factor(4, name, 4, 20) == rate_factor(0, name, 0, 20) == 1.0
    for step in (4, 8, 12, 19, 20, 25):
        share = min(1, (step - 4) / 16)
        assert rate_factor(step, "constant", 4, 20) == 1
        assert rate_factor(step, "linear", 4, 20) == pytest.approx(1 - share)
        assert rate_factor(step, "cosine", 4, 20) == pytest.approx((1 + math.cos(math.pi * share)) / 2)
    assert rate_factor(20, "cosine", 4, 20) == rate_factor(20, "linear", 20, 20) - 1 == 0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_every_group_follows_the_schedule_at_its_own_rate(model, schedule):
    model.lr_schedule, model.warmup_steps, model.max_steps = schedule, 2, 6
    made = configure_optimizer(model)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    for step in range(6):
        factor = rate_factor(step, schedule, 2, 6)
        rates = {group["lr"] for group in optimizer.param_groups}
        assert sorted(rates) == pytest.approx([1e-3 * factor, 1e-2 * factor])
        optimizer.step()
        scheduler.step()


def test_a_constant_rate_needs_no_scheduler(model):
    assert isinstance(configure_optimizer(model), torch.optim.AdamW)


def steps(fused, num=5):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(4))]
    groups = [dict(params=[w], lr=1e-2, weight_decay=d) for w, d in zip(weights, (0.1, 0.0), strict=True)]
    optimizer, gradients = build_optimizer(groups, "adamw", fused), []
    for _ in range(num):
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        gradients.append([weight.grad.clone() for weight in weights])
        optimizer.step()
    return [weight.detach() for weight in weights], gradients


def test_fused_steps_are_plain_ones_and_the_papers():
    fused, gradients = steps(fused=True)
    plain, _ = steps(fused=False)
    torch.manual_seed(0)
    for i, (shape, decay) in enumerate((((4, 3), 0.1), ((4,), 0.0))):
        w, m, v = torch.randn(shape), 0.0, 0.0
        for t, step in enumerate(gradients, 1):  # arXiv 1711.05101, algorithm 2
            m, v = 0.9 * m + 0.1 * step[i], 0.999 * v + 0.001 * step[i] ** 2
            hat_m, hat_v = m / (1 - 0.9**t), v / (1 - 0.999**t)
            w = w - 1e-2 * (hat_m / (hat_v.sqrt() + 1e-8) + decay * w)
        assert torch.allclose(fused[i], plain[i], atol=1e-6) and torch.allclose(fused[i], w, atol=1e-5)


def test_muon_turns_matrices_and_adapts_the_rest():
    matrix = torch.randn(24, 10, generator=torch.Generator().manual_seed(0))
    for given in (matrix, matrix.T):
        values = torch.linalg.svdvals(orthogonalize(given))
        assert orthogonalize(given).shape == given.shape and 0.6 < values.min() < values.max() < 1.3
    torch.manual_seed(0)
    kernel, bias = (torch.nn.Parameter(torch.randn(shape)) for shape in ((6, 2, 3, 3), (6,)))
    rates = dict(lr=1e-2, weight_decay=0.1)
    optimizer = Muon([dict(params=[kernel], matrices=True, **rates), dict(params=[bias], **rates)])
    alone = torch.nn.Parameter(bias.detach().clone())
    adamw, momentum = torch.optim.AdamW([alone], **rates), 0.0
    for _ in range(3):
        before = kernel.detach().clone()
        kernel.grad, bias.grad = torch.randn_like(kernel), torch.randn_like(bias)
        alone.grad = bias.grad.clone()
        optimizer.step()
        adamw.step()
        momentum = 0.95 * momentum + 0.05 * kernel.grad
        turned = orthogonalize((0.05 * kernel.grad + 0.95 * momentum).flatten(1)).view_as(kernel)
        assert torch.allclose(kernel, (1 - 1e-3) * before - 1e-2 * 0.2 * 18**0.5 * turned, atol=1e-5)
    assert torch.allclose(bias, alone, atol=1e-6)
    assert optimizer.state[kernel].keys() == {"momentum"}


def test_muon_leaves_the_zero_convolutions_to_adamw(model):
    model.optimizer = "muon"
    optimizer = configure_optimizer(model)
    turned = {p for group in optimizer.param_groups if group["matrices"] for p in group["params"]}
    assert isinstance(optimizer, Muon) and turned and all(p.ndim > 1 for p in turned)
    assert not turned & set(model.control_model.zero_convs.parameters())


def test_a_missing_bitsandbytes_is_told_with_the_remedy(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    model.optimizer = "adamw8bit"
    with pytest.raises(ValueError, match="pip install bitsandbytes, or take optimizer=adamw$"):
        configure_optimizer(model)
