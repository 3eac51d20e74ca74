"""The implementations of a training step that the benchmarks compare do the same work."""

import sys
from pathlib import Path

import pytest
import torch

from diffusers_names import to_diffusers_unet
from learning.options import TrainOptions

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

from bench_learning import reached  # noqa: E402
from bench_tryon import Step, write_folder  # noqa: E402
from bench_tryon import prepare as prepare_recipe  # noqa: E402
from rival_tryon import RECIPE, PeerStep  # noqa: E402
from train_child import batches, prepare  # noqa: E402
from train_ways import WAYS, TrainingStep  # noqa: E402

TINY = str(ROOT / "models" / "cldm_tiny.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    prepare(TINY, folder, size=64, num=2)
    return folder


def build(way, folder, **changes):
    """The way on the tiny model, and its batches."""
    options = TrainOptions(model=TINY, base=str(folder / "base.safetensors"), precision="32-true")
    options.prompt_dropout = 0.0
    for name, value in changes.items():
        setattr(options, name, value)
    return TrainingStep(way, options, "cpu"), batches(folder, way, batch_size=2)


def random(seed):
    return torch.Generator().manual_seed(seed)


def first_step(way, folder):
    """(loss, gradients by diffusers' names) of a way's first step."""
    step, data = build(way, folder)
    loss = step.loss(next(data), random(0))
    loss.backward()
    if hasattr(step.model, "controlnet"):
        return loss.item(), {name: p.grad for name, p in step.model.controlnet.named_parameters()}
    gradients = {name: p.grad for name, p in step.model.control_model.named_parameters()}
    return loss.item(), to_diffusers_unet(gradients, num_res_blocks=1)


@pytest.fixture(scope="module")
def ours(folder):
    return first_step("ours, uncached", folder)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "ours, uncached"])
def test_every_way_has_the_same_loss_and_gradients(folder, ours, way):
    loss, gradients = first_step(way, folder)
    assert loss == pytest.approx(ours[0], rel=1e-5)
    assert gradients.keys() == ours[1].keys()
    for name, wanted in ours[1].items():
        assert (gradients[name] - wanted).norm() <= 1e-3 * wanted.norm() > 0, name


def test_ours_and_diffusers_stay_together_over_steps(folder):
    """Clipping, optimizer, rates and the clearing of gradients are the same, at a rate that shows it."""
    losses = []
    for way in ("ours, cached", "diffusers"):
        step, data = build(way, folder, learning_rate=1e-3, zero_conv_factor=2.0, warmup_steps=2)
        losses.append([step(next(data), random(i)) for i in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert len({round(loss, 3) for loss in losses[0]}) == 4


def test_the_peer_of_try_on_has_the_same_loss_and_gradients(tmp_path):
    """Though it runs the garment's U-Net to its end, and joins person and garment in self-attention."""
    write_folder(tmp_path, 64, 2)
    prepare_recipe(RECIPE, tmp_path)
    ours, peer = Step(RECIPE, tmp_path), PeerStep(RECIPE, tmp_path)
    assert peer.model.state_dict().keys() and not peer.model.tokens
    batch = ours.model.drop_conditions(ours.batches["pictures"], random(1))
    batch["dropped"]["garment"] = torch.tensor([False, True])
    wanted, _ = ours.model.shared_step(batch, random(2))
    found = peer.model.loss(batch, random(2))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    wanted.backward()
    found.backward()
    nets = {"person": ours.model.model.diffusion_model, "garment": ours.model.garment_model}
    for name, net in nets.items():
        gradients = {key: p.grad for key, p in net.named_parameters() if p.requires_grad}
        theirs = {
            key.replace("transformer_blocks.0.block.", "transformer_blocks.0."): p.grad
            for key, p in getattr(peer.model, name).named_parameters()
        }
        for key, gradient in to_diffusers_unet(gradients, num_res_blocks=1).items():
            assert (theirs[key] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-9, (name, key)


def test_original_alone_computes_gradients_of_locked_weights(folder):
    locked = {}
    for way in ("ours, cached", "original"):
        step, data = build(way, folder)
        step.loss(next(data), random(0)).backward()
        unet = step.model.model.diffusion_model
        locked[way] = {name.split(".")[0] for name, p in unet.named_parameters() if p.grad is not None}
    assert locked == {"ours, cached": set(), "original": {"output_blocks", "out"}}


def test_levels_are_reached_between_measurements():
    curve = [dict(step=10, miou=0.2), dict(step=20, miou=0.4), dict(step=30, miou=0.3)]
    assert reached(curve, 0.3, "step") == pytest.approx(15)
    assert reached(curve, 0.1, "step") == pytest.approx(5)
    assert reached(curve, 0.5, "step") is None
