"""Training a small base: what standardised latents are, and that every stage changes its own part alone."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import default_collate

from cldm.model import load_model
from cldm.tryon.attention import Tokens
from cldm.tryon.inputs import UNetInputs
from cldm.weights.graft import add_control
from ldm.checkpoint import read_state_dict
from ldm.modules.diffusionmodules.util import ROW_SEED, row_generators
from learning.base import groups
from learning.base.autoencoder import (
    AutoencoderTraining,
    DecoderTraining,
    find_sensitivities,
    latent_moments,
    reconstruction_loss,
    sharpness_loss,
    standardize_latents,
    to_signed_range,
    weigh_latents,
)
from learning.base.groups import Batches, Group, encode_group, keep_group
from learning.base.stages import (
    CONV_IN,
    base_of,
    export,
    hold_and_fall,
    load_base,
    start_autoencoder,
    start_from,
)
from learning.embedded_default import complete_default
from paperdoll.base_pictures import Pictures
from paperdoll.scene import draw_product
from paperdoll.tryon import SIZE, arrange
from small import small_model
from small_formats import four_channels
from tutorial_tryon_dataset import TryonDataset


def pictures(num=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, 64, 64, 3), generator=generator, dtype=torch.uint8)


def test_standardised_latents_have_mean_0_and_deviation_1_and_draw_the_same_pictures():
    autoencoder = small_model(zeros=False).first_stage_model.eval()
    before = latent_moments(autoencoder, pictures())
    with torch.no_grad():
        drawn = autoencoder.decode(before.chunk(2, dim=1)[0])
        (after,) = standardize_latents(autoencoder, [before])
        again = latent_moments(autoencoder, pictures())
        assert torch.allclose(autoencoder.decode(after.chunk(2, dim=1)[0]), drawn, atol=1e-4)
    assert torch.allclose(again, after, atol=1e-4)
    mean, logvar = after.chunk(2, dim=1)
    assert torch.allclose(mean.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5)
    total = mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))
    assert torch.allclose(total, torch.ones(4), atol=1e-4)


def test_latents_are_weighed_by_what_they_count_and_draw_the_same_pictures():
    autoencoder = small_model(zeros=False).first_stage_model.eval()
    with torch.no_grad():
        autoencoder.post_quant_conv.weight[:, 2] *= 10  # counts most
        (before,) = standardize_latents(autoencoder, [latent_moments(autoencoder, pictures())])
        drawn = autoencoder.decode(before.chunk(2, dim=1)[0])
        found = find_sensitivities(autoencoder, pictures())
        deviations = weigh_latents(autoencoder, pictures(), power=0.25)
        after = latent_moments(autoencoder, pictures())
        assert torch.allclose(autoencoder.decode(after.chunk(2, dim=1)[0]), drawn, atol=1e-4)
    assert found.argmax() == 2 and torch.allclose(found.mean(), torch.tensor(1.0))
    assert deviations[2] == 1 and torch.allclose(deviations**4, found / found.max())
    mean, logvar = after.chunk(2, dim=1)
    total = mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))
    assert torch.allclose(total.sqrt(), deviations, rtol=1e-3)


def test_an_autoencoder_of_more_channels_begins_by_drawing_what_its_start_draws(tmp_path):
    config = OmegaConf.load("models/cldm_tiny.yaml")
    four_channels(config.model.params)
    OmegaConf.save(config, tmp_path / "narrow.yaml")
    export(base_of(tmp_path / "narrow.yaml"), tmp_path / "base.safetensors", {})
    narrow = load_base(tmp_path / "narrow.yaml", tmp_path / "base.safetensors").first_stage_model
    model = base_of("models/cldm_tiny.yaml")
    assert start_autoencoder(model, tmp_path / "base.safetensors")
    wide, x = model.first_stage_model.eval(), to_signed_range(pictures(2))
    with torch.no_grad():
        first, second = narrow.encode(x), wide.encode(x)
        assert torch.allclose(second.mean[:, :4], first.mean, atol=1e-4)
        assert torch.allclose(wide.decode(second.mode()), narrow.decode(first.mode()), atol=1e-4)
    assert float(second.mean[:, 4:].std()) > 0.1
    (wide.requires_grad_(True).decode(second.mode()) - x).square().mean().backward()
    assert float(wide.decoder.conv_in.weight.grad[:, 4:].norm()) > 0


def test_the_decoder_is_trained_alone():
    autoencoder = small_model(zeros=False).first_stage_model
    training = DecoderTraining(autoencoder, 1e-3, num_steps=10)
    training.log = lambda *_, **__: None
    moments = latent_moments(autoencoder, pictures(2))
    training.training_step((pictures(2), moments), 0).backward()
    trained = {name.split(".")[0] for name, p in autoencoder.named_parameters() if p.grad is not None}
    assert trained == {"decoder", "post_quant_conv"}
    optimizer = training.configure_optimizers()["optimizer"]
    assert all(p.requires_grad for group in optimizer.param_groups for p in group["params"])


def test_a_crisp_edge_beside_its_place_costs_less_sharpness_than_a_blurred_one():
    x = torch.ones(1, 3, 64, 64)
    x[..., 30:] = -1
    crisp, blurred = (
        x.roll(1, 3),
        torch.nn.functional.avg_pool2d(x, (1, 5), 1, (0, 2), count_include_pad=False),
    )
    crisp[..., 0] = 1
    assert sharpness_loss(x, x) == 0
    assert 5 * sharpness_loss(crisp, x) < sharpness_loss(blurred, x)
    assert reconstruction_loss(crisp, x) > reconstruction_loss(blurred, x)


def test_a_locked_autoencoder_is_unlocked_for_its_own_training():
    autoencoder = small_model().first_stage_model
    assert not any(p.requires_grad for p in autoencoder.parameters())
    assert (
        AutoencoderTraining(autoencoder, 1e-3, 10, crop=32).configure_optimizers()["optimizer"].param_groups
    )


def noisy(model, num=2):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num, model.channels, 8, 8, generator=generator)
    return x, torch.tensor([500] * num), torch.randn(num, 77, 64, generator=generator)


def test_a_base_and_its_repainting_differ_in_the_first_convolution_alone(tmp_path):
    model = base_of("models/cldm_tiny.yaml").eval()
    export(model, tmp_path / "base.safetensors", {})
    repainting = read_state_dict(tmp_path / "repainting.safetensors")
    assert list(repainting) == [CONV_IN] and repainting[CONV_IN].shape[1] == 2 * model.channels + 1
    x, t, context = noisy(model)
    known = torch.randn(2, model.channels + 1, 8, 8, generator=torch.Generator().manual_seed(2))
    plain = load_base("models/cldm_tiny.yaml", tmp_path / "base.safetensors")
    both = load_base(
        "models/cldm_tiny.yaml", *(tmp_path / f"{n}.safetensors" for n in ("base", "repainting"))
    )
    cond = dict(c_crossattn=[context])
    with torch.no_grad():
        torch.nn.init.normal_(plain.model.diffusion_model.out[2].weight, 0, 0.1)
        both.model.diffusion_model.out[2].weight.copy_(plain.model.diffusion_model.out[2].weight)
        assert torch.equal(plain.apply_model(x, t, cond), both.apply_model(x, t, cond))
        told = both.apply_model(x, t, {**cond, "known": [known]})
        assert (told - both.apply_model(x, t, cond)).abs().max() > 1e-4


def write_fittings(folder, fittings):
    """A folder as preparation writes it, but without loss; its photos and masks."""
    lines, photos, masks = [], [], []
    for i, fitting in enumerate(fittings):
        photos.append(fitting.wear().drawing.photo)
        masks.append(fitting.agnostic_mask())
        files = dict(target=photos[-1], mask=np.uint8(masks[-1]) * 255)
        files["garment"] = draw_product(fitting.garment, SIZE).photo
        for name, picture in files.items():
            Image.fromarray(picture).save(folder / f"{name}{i}.png")
        names = {name: f"{name}{i}.png" for name in files}
        lines.append(dict(name=str(i), source="none", prompt="a person in a red top", **names))
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))
    return np.stack(photos), np.stack(masks)


def test_a_recipe_reads_what_the_base_that_repaints_was_trained_on_and_begins_as_it(tmp_path):
    """Grey in the part to repaint, the posterior's mode, the mask's nearest pixels; in the same channels."""
    model = base_of("models/cldm_tiny.yaml")
    torch.nn.init.normal_(model.model.diffusion_model.out[2].weight, 0, 0.1)
    export(model, tmp_path / "base.safetensors", {})
    paths = [tmp_path / f"{name}.safetensors" for name in ("base", "repainting")]
    base, recipe = load_base("models/cldm_tiny.yaml", *paths), "models/tryon_tiny_joint.yaml"
    photos, masks = write_fittings(tmp_path, [arrange(0, index) for index in range(2)])
    known = encode_group(base, 1.0, Pictures(photos, [""] * 2, masks), repainted=1.0).known.float()

    add_control(paths[0], tmp_path / "ini.safetensors", recipe)
    tryon, data = load_model(recipe, tmp_path / "ini.safetensors").float(), TryonDataset(tmp_path)
    with torch.no_grad():
        x, encoded = tryon.get_input(default_collate([data[0], data[1]]), "jpg")
        inputs = UNetInputs(x, torch.tensor([300, 900]))
        kept = dict.fromkeys(tryon.conditions, torch.tensor([False, False]))
        for name, prepared in tryon.prepare(encoded, kept).items():
            tryon.conditions[name].write(tryon, inputs, prepared)
        told = inputs.join()[0]
        assert torch.allclose(told[:, base.channels :], known, atol=2e-3)  # known is kept in 16 bits
        assert set(told[:, -1].unique().tolist()) == {0.0, 1.0}
        cond = dict(c_crossattn=[inputs.text], known=[told[:, base.channels :]])
        alone = tryon.model.diffusion_model(told, inputs.t, Tokens(inputs.text))
        assert torch.allclose(alone, base.apply_model(x, inputs.t, cond), atol=1e-4)
        blind = base.apply_model(x, inputs.t, dict(c_crossattn=[inputs.text]))
        assert (alone - blind).abs().max() > 1e-2


def test_the_default_of_try_on_begins_with_what_lies_beside_the_tiny_base(tmp_path, monkeypatch):
    (tmp_path / "models/tiny").mkdir(parents=True)
    export(base_of("models/cldm_tiny.yaml"), tmp_path / "models/tiny/base.safetensors", {})
    recipe, wanted = str(Path("models/tryon_tiny_joint.yaml").absolute()), "models/tryon_tiny_ini.safetensors"
    (tmp_path / "prompt.json").touch()
    monkeypatch.chdir(tmp_path)
    complete_default(SimpleNamespace(data=".", base=wanted, model=recipe))
    repainting = read_state_dict("models/tiny/repainting.safetensors")
    assert torch.equal(read_state_dict(wanted)[CONV_IN], repainting[CONV_IN])


def test_a_base_starts_from_the_blocks_of_another_that_have_its_shapes(tmp_path):
    other, model = (base_of("models/cldm_tiny.yaml") for _ in range(2))
    torch.nn.init.normal_(other.model.diffusion_model.out[2].weight)
    export(other, tmp_path / "base.safetensors", {})
    assert start_from(model, tmp_path / "base.safetensors") == [CONV_IN]
    for part in ("out.2.weight", "middle_block.0.emb_layers.1.weight"):
        ours, theirs = (m.state_dict()[f"model.diffusion_model.{part}"] for m in (model, other))
        assert torch.equal(ours, theirs.half().float())


def test_a_batch_depends_on_its_number_alone_wherever_a_run_resumes():
    group = Group(1.0, torch.arange(40.0)[:, None, None, None], [str(i) for i in range(40)])
    whole, rest = Batches([group], 4), Batches([group], 4, first=3)
    assert whole[5]["txt"] == rest[2]["txt"] and torch.equal(whole[5]["moments"], rest[2]["moments"])
    assert whole[5]["txt"] != whole[6]["txt"] and "known" not in whole[5]
    assert whole[5][ROW_SEED] == rest[2][ROW_SEED] != whole[6][ROW_SEED] and len({*whole[5][ROW_SEED]}) == 4


def test_encoded_pictures_are_kept_and_taken_up_again(tmp_path, monkeypatch):
    model, masks = base_of("models/cldm_tiny.yaml"), np.zeros((3, 64, 64), bool)
    masks[:, 8:40, 16:48] = True
    drawn = Pictures(pictures(3).numpy(), ["a", "b", "c"], masks)
    path = tmp_path / "latents" / "dolls.pt"
    first = keep_group(path, model, 0.5, drawn, repainted=0.25)
    assert first.known.shape == (3, model.channels + 1, 8, 8) and first.moments.dtype == torch.float16
    assert first.known[0, -1].sum() == 4 * 4  # the mask
    monkeypatch.setattr(groups, "encode_group", None)
    again = keep_group(path, model, 0.5, drawn, repainted=0.25)
    assert torch.equal(again.moments, first.moments) and torch.equal(again.known, first.known)
    assert (again.share, again.prompts, again.repainted) == (0.5, ["a", "b", "c"], 0.25)


def test_the_rate_rises_holds_and_falls_and_a_longer_run_begins_alike():
    rates = [hold_and_fall(step, 1000) for step in range(1000)]
    assert rates[:2] == [0.01, 0.02] and set(rates[99:751]) == {1.0}
    assert rates[875] == 0.5 and 0 < rates[-1] < 0.01 and hold_and_fall(1000, 1000) == 0
    assert rates[:750] == [hold_and_fall(step, 2000) for step in range(750)]


def test_a_base_turns_its_matrices_and_adapts_what_lies_at_the_rim():
    model = base_of("models/cldm_tiny.yaml")
    optimizer = model.configure_optimizers()["optimizer"]
    turned = {p for group in optimizer.param_groups if group["matrices"] for p in group["params"]}
    unet, text = model.model.diffusion_model, model.cond_stage_model
    rim = [
        unet.input_blocks[0][0].weight,
        unet.out[2].weight,
        *(p for name, p in text.named_parameters() if "embedding" in name),
    ]
    assert not turned & set(rim) and unet.middle_block[0].in_layers[2].weight in turned
    assert all(p.ndim > 1 for p in turned) and not turned & set(model.first_stage_model.parameters())


def test_most_timesteps_of_a_base_are_small():
    model, seeds = base_of("models/cldm_tiny.yaml"), {ROW_SEED: range(4000)}
    t = model.draw_timesteps(4000, row_generators(seeds))
    assert torch.equal(t, model.draw_timesteps(4000, row_generators(seeds)))
    assert abs((t < 500).float().mean() - 0.75) < 0.03 and t.min() < 20 and t.max() > 980


@pytest.mark.slow
def test_the_script_makes_a_base_of_the_shipped_layout(tmp_path):
    steps = ["--dolls", "150", "--autoencoder-steps", "2", "--decoder-steps", "2", "--max-steps", "2"]
    command = ["tutorial_train_base.py", "--config", "models/cldm_tiny.yaml", "--run", str(tmp_path)]
    subprocess.run([sys.executable, *command, *steps], check=True)
    made, shipped = (
        read_state_dict(p) for p in (tmp_path / "base.safetensors", "models/tiny/base.safetensors")
    )
    assert {k: (v.shape, v.dtype) for k, v in made.items()} == {
        k: (v.shape, v.dtype) for k, v in shipped.items()
    }
