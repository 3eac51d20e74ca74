"""What the image log shows, under the original's names, and when it is written."""

import inspect
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from cldm.cldm import ControlLDM
from cldm.ddim_hacked import DDIMSampler
from cldm.logger import ImageLogger
from small import batch, condition, small_model

LOG_IMAGES = """batch N n_row sample ddim_steps ddim_eta return_keys quantize_denoised inpaint
plot_denoise_rows plot_progressive_rows plot_diffusion_rows unconditional_guidance_scale
unconditional_guidance_label use_ema_scope"""
LOGGER = """batch_frequency max_images clamp increase_log_steps rescale disabled log_on_batch_idx
log_first_step log_images_kwargs"""


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.mark.parametrize(
    "function, names",
    [
        (ControlLDM.log_images, f"self {LOG_IMAGES} split"),
        (ControlLDM.sample_log, "self cond batch_size ddim ddim_steps sampler_options"),
        (ImageLogger.__init__, f"self {LOGGER}"),
    ],
)
def test_arguments_are_the_originals_in_its_order(function, names):
    assert list(inspect.signature(function).parameters) == names.split()


def test_the_log_shows_what_was_asked_for(model):
    given = batch(3)
    plain = model.log_images(given, N=2, ddim_steps=2)
    assert list(plain) == ["reconstruction", "control", "conditioning", "samples_cfg_scale_9.00"]
    assert all(images.shape == (2, 3, 64, 64) for images in plain.values())
    assert torch.equal(plain["control"], given["hint"][:2].movedim(-1, 1) * 2 - 1)
    assert "samples" in model.log_images(batch(), sample=True, ddim_steps=2, unconditional_guidance_scale=1.0)
    unguided = model.log_images(batch(), ddim_steps=2, unconditional_guidance_scale=1.0)
    assert list(unguided) == ["reconstruction", "control", "conditioning"]


def test_rows_show_how_noise_comes_and_goes(model):
    options = dict(plot_denoise_rows=True, plot_diffusion_rows=True, n_row=1)
    log = model.log_images(batch(), ddim_steps=10, unconditional_guidance_scale=1.0, **options)
    assert log["diffusion_row"].shape == (1, 3, 64, 6 * 64)  # timesteps 0, 200, 400, 600, 800 and 999
    assert log["denoise_row"].shape == (1, 3, 64, 7 * 64)  # noise, the first step and every second one
    start, end = log["diffusion_row"][..., :64], log["diffusion_row"][..., -64:]
    reconstruction = log["reconstruction"][:1]
    assert (start - reconstruction).abs().mean() < 0.4 * (end - reconstruction).abs().mean()
    assert torch.allclose(log["denoise_row"][..., -64:], log["samples"][:1], atol=1e-5)


@pytest.mark.parametrize("lie", [dict(return_keys=["samples"]), dict(unconditional_guidance_label=0)])
def test_what_would_not_be_shown_is_refused_by_name(model, lie):
    with pytest.raises(ValueError, match=next(iter(lie))):
        model.log_images(batch(), **lie)


def test_sample_log_hands_the_samplers_options_on(model):
    cond, x_T = condition(), torch.randn(2, 4, 8, 8)
    guidance = dict(unconditional_guidance_scale=3.0, unconditional_conditioning=condition(seed=5))
    drawn, _ = model.sample_log(cond, 2, True, 3, eta=0.0, x_T=x_T, **guidance)
    sampled = DDIMSampler(model).sample(3, 2, (4, 8, 8), cond, x_T=x_T, verbose=False, **guidance)
    assert torch.equal(drawn, sampled[0])
    with pytest.raises(ValueError, match="ddim: False"):
        model.sample_log(cond, 2, False, 3)


def test_micro_batches_are_not_counted():
    with pytest.raises(ValueError, match="log_on_batch_idx: True .* optimizer steps"):
        ImageLogger(log_on_batch_idx=True)


def logged_steps(folder, logger, steps):
    """Steps with pictures, when a Trainer in 32 bit stands at `steps`, a batch each."""
    model = SimpleNamespace(training=False, eval=lambda: None, train=lambda mode: None)
    model.stages_present = model.averaged = nullcontext
    model.log_images = lambda batch, N, split: dict(control=torch.zeros(N, 3, 8, 16))
    precision = SimpleNamespace(forward_context=torch.enable_grad)
    trainer = SimpleNamespace(precision_plugin=precision, is_global_zero=True, current_epoch=1)
    trainer.default_root_dir = folder
    for i, step in enumerate(steps):
        trainer.global_step = step
        logger.on_train_batch_end(trainer, model, None, None, i)
    return sorted(path.name for path in folder.glob("image_log/train/*.png"))


def test_pictures_come_by_optimizer_steps_and_once_each(tmp_path):
    names = logged_steps(tmp_path, ImageLogger(2, 5), [0, 1, 1, 2, 2, 3, 4])
    assert names == ["control_gs-000002_e-000001_b-000003.png", "control_gs-000004_e-000001_b-000006.png"]
    with Image.open(tmp_path / "image_log" / "train" / names[0]) as picture:
        assert picture.size == (4 * 16, 2 * 8)


def test_the_first_step_is_logged_if_asked_and_nothing_if_disabled(tmp_path):
    assert logged_steps(tmp_path / "off", ImageLogger(1, disabled=True), [0, 1]) == []
    names = logged_steps(tmp_path / "first", ImageLogger(100, log_first_step=True), [0, 1])
    assert names == ["control_gs-000000_e-000001_b-000000.png"]
