"""Laws of training: what is locked, what learns, and what a step's randomness depends on."""

import pytest
import torch

from small import batch, condition, noisy, small_model

UNTRAINED = ("model.", "first_stage_model.", "cond_stage_model.")
DECODER = ("model.diffusion_model.output_blocks.", "model.diffusion_model.out.")


@pytest.fixture(scope="module")
def weights():
    return small_model(zeros=False).state_dict()


@pytest.fixture
def model(weights):
    model = small_model()
    model.load_state_dict(weights)
    return model.train()


def backward(model, seed=0):
    """One loss and its gradients by name."""
    x_start, t = noisy()
    noise = torch.randn(x_start.shape, generator=torch.Generator().manual_seed(seed))
    loss, logs = model.p_losses(x_start, condition(), t, noise=noise)
    loss.backward()
    return loss, {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


def trainable(model):
    return {k for k, p in model.named_parameters() if p.requires_grad}


def test_locked_weights_never_learn(model):
    optimizer = model.configure_optimizers()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    _, gradients = backward(model)
    optimizer.step()
    locked = {k for k, _ in model.named_parameters() if k.startswith(UNTRAINED)}
    assert locked and not locked & (trainable(model) | gradients.keys())
    ours = {id(p) for k, p in model.named_parameters() if k not in locked}
    assert {id(p) for p in optimizer.state} == ours
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == gradients.keys() == trainable(model)


def test_the_graph_ends_where_nothing_trainable_lies_behind(model):
    x, t = noisy()
    unet, context = model.model.diffusion_model, condition()["c_crossattn"][0]
    h, skips = unet.encode(x, unet.embed_time(t), context)
    assert not any(tensor.requires_grad for tensor in (h, *skips))


@pytest.mark.parametrize("set_before_training", [True, False])
def test_unlocked_training_trains_the_decoder_along(model, set_before_training):
    if not set_before_training:
        model.configure_optimizers()
    model.sd_locked = False
    names = {k for k, _ in model.named_parameters() if k.startswith(("control_model.", *DECODER))}
    assert trainable(model) == names
    model.configure_optimizers()
    assert backward(model)[1].keys() == names
    model.sd_locked = True
    assert {k.split(".")[0] for k in trainable(model)} == {"control_model"}


def test_middle_control_trains_only_what_it_uses(model):
    model.only_mid_control = True
    _, gradients = backward(model)
    unused = {k for k, _ in model.named_parameters() if k.startswith("control_model.zero_convs.")}
    assert unused and gradients.keys() == trainable(model)
    assert not unused & gradients.keys()
    assert "control_model.middle_block_out.0.weight" in gradients


def test_every_trainable_parameter_of_a_fresh_model_is_reached():
    """All but the zero convolutions get zeros at first, so that data-parallel training finds none unused."""
    model = small_model().train()
    assert backward(model)[1].keys() == trainable(model)


def test_only_trained_parts_are_in_training_mode(model):
    model.train()
    assert (
        model.training and not model.first_stage_model.training and not model.model.diffusion_model.training
    )
    assert all(part.training for part in model.trainable_parts())
    assert all(module.training for module in model.control_model.modules())
    model.eval()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("locked", [True, False])
def test_recomputing_gives_bit_identical_gradients(model, locked):
    model.sd_locked = locked
    results = []
    for flag in (True, False):
        for module in model.modules():
            if hasattr(module, "use_checkpoint"):
                module.use_checkpoint = flag
        model.zero_grad()
        loss, gradients = backward(model)
        results.append((loss.detach(), {k: v.clone() for k, v in gradients.items()}))
    (loss, on), (loss_off, off) = results
    assert torch.equal(loss, loss_off) and on.keys() == off.keys()
    assert all(torch.equal(on[k], off[k]) for k in on)


@pytest.mark.parametrize("locked", [True, False])
def test_bf16_training_stays_finite_and_near(model, weights, locked):
    losses = {}
    for enabled in (False, True):
        model.load_state_dict(weights)
        model.sd_locked, model.learning_rate = locked, 1e-4
        optimizer, losses[enabled] = model.configure_optimizers(), []
        for step in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                loss, gradients = backward(model, seed=step)
            optimizer.step()
            losses[enabled].append(loss.detach())
        assert all(
            torch.isfinite(gradient).all() and gradient.dtype == torch.float32
            for gradient in gradients.values()
        )
    assert torch.allclose(torch.stack(losses[True]), torch.stack(losses[False]), rtol=0.03)


@pytest.mark.parametrize("parameterization, target", [("eps", "noise"), ("x0", "x_start"), ("v", "v")])
def test_the_loss_is_the_error_of_what_the_parameterization_predicts(model, parameterization, target):
    model.parameterization, (x_start, t) = parameterization, noisy()
    noise = torch.randn(x_start.shape, generator=torch.Generator().manual_seed(1))
    loss, _ = model.p_losses(x_start, condition(), t, noise=noise)
    noisy_latents = model.q_sample(x_start, t, noise)
    wanted = dict(noise=noise, x_start=x_start, v=model.get_v(x_start, noise, t))[target]
    output = model.apply_model(noisy_latents, t, condition())
    assert torch.allclose(loss, ((output - wanted) ** 2).mean())
    a, b = model.sqrt_alphas_cumprod[t], model.sqrt_one_minus_alphas_cumprod[t]
    eps, x0 = model.predictions(noisy_latents, t, output)
    assert torch.allclose(
        a[:, None, None, None] * x0 + b[:, None, None, None] * eps, noisy_latents, atol=1e-4
    )


def test_logs_are_named_after_the_split(model):
    x_start, t = noisy()
    for mode, name in ((True, "train/loss_simple"), (False, "val/loss_simple")):
        _, logs = model.train(mode).p_losses(x_start, condition(), t)
        assert name in logs and not logs[name].requires_grad


def test_a_training_step_logs_under_the_originals_names(model, monkeypatch):
    logged = {}
    monkeypatch.setattr(model, "log_dict", lambda logs, **options: logged.update(logs))
    loss = model.training_step(batch(), 0)
    assert logged == {"train/loss_simple": loss, "train/loss": loss, "global_step": 0.0}
