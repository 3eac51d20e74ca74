"""What would make a GPU wait, or need more memory than training itself, is counted here without one."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import evaluation.control_miou as control_miou
from ldm.models.diffusion.ddpm import LATENTS_AT_ONCE
from learning.callbacks.validation import ValidationLoss
from learning.options import TrainOptions
from learning.train import train
from small import batch, small_model
from small_data import ENCODER, WIDE, write_base, write_items
from tutorial_dataset import MyDataset


class Reads(TorchDispatchMode):
    """Counts how often a tensor is read as a Python number, for which the host waits for the device."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*arguments, **(options or {}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base, data = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("data")
    write_items(data, [WIDE] * 18, split="train")
    return write_base(base), write_items(data, [WIDE] * 5, start=18, split="val")


def options(folders, run, **changes):
    base, data = folders
    given = dict(run=str(run), data=str(data), model=f"{base}/small.yaml", base=f"{base}/ini.safetensors")
    given |= dict(batch_size=2, workers=0, precision="32-true", image_log_every=0, sampling_steps=1)
    given |= dict(max_steps=2, checkpoint_every=100, measure_every=2, measure_maps=5)
    return TrainOptions(**given | changes)


def test_no_micro_batch_waits_for_the_device(folders, tmp_path):
    reads = []
    for accumulate in (2, 4):
        settings = options(folders, tmp_path / f"{accumulate}", accumulate=accumulate, hint_dropout=0.5)
        with Reads() as counted:
            train(settings, MyDataset(folders[1], "train"), encoder=ENCODER)
        reads.append(counted.count)
    assert reads[0] == reads[1] > 0


def test_which_conditions_are_emptied_is_drawn_where_prompts_are():
    model = small_model()
    model.prompt_dropout = model.hint_dropout = 0.5
    model.to("meta")  # a device that nothing can be read from
    given = batch(4)
    emptied = model.drop_conditions(given, torch.Generator().manual_seed(0))
    assert 0 < emptied["txt"].count("") < 4 and emptied["hint"].device == given["hint"].device


@pytest.mark.parametrize("batch_size", [1, 3])
def test_measuring_takes_no_more_pictures_at_once_than_training(folders, tmp_path, monkeypatch, batch_size):
    drawn, original = [], control_miou.sample

    def sample(model, controls, prompts, *others, **more):
        drawn.append(len(prompts))
        return original(model, controls, prompts, *others, **more)

    monkeypatch.setattr(control_miou, "sample", sample)
    validated, of_chunk = [], ValidationLoss._chunk

    def chunk(self, model, items, control):
        validated.append(len(items))
        return of_chunk(self, model, items, control)

    monkeypatch.setattr(ValidationLoss, "_chunk", chunk)
    data = folders[1]
    settings = options(folders, tmp_path, batch_size=batch_size, max_steps=1)

    def judge(pictures):
        return np.ones(pictures.shape[:3], np.uint8)

    train(settings, MyDataset(data, "train"), MyDataset(data, "val"), ENCODER, judge)
    assert max(drawn) == max(validated) == batch_size and sum(drawn) == 2 * 5


def test_no_more_is_encoded_or_decoded_at_once_than_one_picture_of_512_pixels(monkeypatch):
    model, sizes = small_model(), []
    side = 64 * int(LATENTS_AT_ONCE**0.5 / 8 / 2)  # 4 pictures of this size at once
    for name in ("encode", "decode"):
        original = getattr(model.first_stage_model, name)

        def counted(x, original=original):
            sizes.append(len(x))
            return original(x)

        monkeypatch.setattr(model.first_stage_model, name, counted)
    images = torch.rand(5, 3, side, side) * 2 - 1
    posterior = model.encode_first_stage(images)
    latents = posterior.mode() * model.scale_factor
    assert model.decode_first_stage(latents).shape == images.shape and sizes == [4, 1, 4, 1]
    one = model.encode_first_stage(images[4:])
    assert torch.allclose(posterior.parameters[4:], one.parameters, atol=1e-5)
    with torch.no_grad():
        log = model.log_images(batch(2), N=2, ddim_steps=1)
    assert max(sizes) == 4 and len(log["reconstruction"]) == 2
