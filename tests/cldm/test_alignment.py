"""LISA's alignment term: its head, and the laws that follow from its definition."""

import pytest
import torch
from torch.nn.functional import interpolate, mse_loss

from cldm.alignment import AlignmentHead, list_places, make_head
from cldm.model import create_on_meta
from ldm.modules.diffusionmodules.util import timestep_embedding
from small import condition, noisy, small_model

SHARE = 0.2


def aligned_model(place="down_1", **options):
    """A small model in training whose branch has just been grafted, and what p_losses takes."""
    model = small_model(**options).train()
    unet = model.model.diffusion_model
    torch.nn.init.normal_(unet.out[2].weight, std=0.05)  # a U-Net that predicts something
    model.align_with(SHARE, place)
    model.lock()
    x, t = noisy()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return model, (x, condition(), t, noise)


def test_places_and_heads_of_stable_diffusion():
    branch = create_on_meta("models/cldm_v15.yaml").control_model
    places = list_places(branch)
    assert list(places) == [*(f"down_{i}" for i in range(12)), "mid"]
    doublings = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    channels = [320] * 4 + [640] * 3 + [1280] * 6
    assert list(places.values()) == list(zip(channels, doublings, strict=True))
    sizes = {}
    for place in ("down_5", "mid"):
        with torch.device("meta"):
            head = make_head(branch, place, 4)
        sizes[place] = sum(p.numel() for p in head.parameters())
    # linear, 1 x 1 convolution, 3 x 3 convolutions, the last one
    assert sizes["down_5"] == 257 * 640 + 641 * 320 + 4 * (9 * 320 + 1)
    assert sizes["mid"] == (
        257 * 1280 + 1281 * 640 + 320 * (9 * 640 + 1) + 160 * (9 * 320 + 1) + 4 * (9 * 160 + 1)
    )


def test_a_head_is_what_its_paper_says():
    head = AlignmentHead("mid", 512, 2, 4)
    assert [layer.kernel_size[0] for layer in head.layers] == [1, 3]
    assert [layer.out_channels for layer in head.layers] == [256, 128]
    assert AlignmentHead("down_0", 512, 0, 4).layers[0].kernel_size == (3, 3)
    assert AlignmentHead("mid", 100, 2, 4).layers[1].out_channels == 64
    torch.nn.init.normal_(head.out.weight, std=0.1)
    features, t = torch.randn(2, 512, 3, 2), torch.tensor([3, 900])
    x = features + torch.nn.functional.silu(head.embed(timestep_embedding(t, 256)))[..., None, None]
    for layer in head.layers:
        x = interpolate(torch.nn.functional.silu(layer(x)), scale_factor=2)
    assert torch.allclose(head(features, t), head.out(x), atol=1e-5) and x.shape == (2, 128, 12, 8)


@pytest.mark.parametrize("parameterization", ["eps", "v"])
def test_at_the_start_both_terms_are_equal(parameterization):
    model, given = aligned_model(parameterization=parameterization)
    total, logs = model.p_losses(*given)
    plain, _ = model.eval().p_losses(*given)
    assert torch.allclose(logs["train/loss_align"], plain) and torch.allclose(total, (1 + SHARE) * plain)
    assert torch.equal(logs["train/loss_simple"], plain) and torch.equal(logs["train/loss"], total)


@pytest.mark.parametrize("place", ["down_0", "down_1", "down_3", "mid"])
def test_the_branch_gets_a_gradient_from_the_term_once_its_head_has_moved(place):
    model, (x, cond, t, noise) = aligned_model(place)

    def gradient():
        target = model.get_target(x, noise, t)
        _, plain, features = model.apply_with_plain(model.q_sample(x, t, noise), t, cond)
        model.zero_grad()
        mse_loss(model.alignment(features, t), target - plain).backward()
        stem = model.control_model.input_blocks[0][0].weight.grad
        return 0.0 if stem is None else float(stem.abs().max())

    assert gradient() == 0.0
    with torch.no_grad():
        model.alignment.out.weight.sub_(model.alignment.out.weight.grad)
    assert gradient() > 0
    assert all(p.grad is None for p in model.model.parameters())


def test_the_shared_encoder_changes_neither_output():
    model, (x, cond, t, _) = aligned_model(zeros=False)
    entered = []
    model.control_model.zero_convs[1].register_forward_hook(
        lambda module, given, out: entered.append(given[0])
    )
    output, plain, features = model.apply_with_plain(x, t, cond)
    assert torch.equal(features, entered[0])
    assert torch.equal(output, model.apply_model(x, t, cond)) and output.requires_grad
    assert torch.equal(plain, model.apply_model(x, t, cond | dict(c_concat=None))) and not plain.requires_grad
    assert not torch.equal(output, plain)


def test_weights_of_timesteps_count_for_both_terms():
    model, given = aligned_model(zeros=False)
    model.min_snr_gamma = 5.0
    total, logs = model.p_losses(*given)
    model.align = 0.0
    alone, _ = model.p_losses(*given)
    assert torch.allclose(total, alone + SHARE * logs["train/loss_align"])


def test_an_unknown_place_is_named_with_those_that_there_are():
    with pytest.raises(
        ValueError, match="align_at must be one of down_0, .*, mid for this model, got 'down_5'"
    ):
        small_model().align_with(SHARE, "down_5")


def test_without_a_share_nothing_is_added():
    model = small_model().train()
    model.align_with(0.0, "nowhere")
    assert model.alignment is None and len(model.trainable_parts()) == 1
