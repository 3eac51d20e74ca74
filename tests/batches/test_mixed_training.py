"""Training on built prompts: exact on resuming, the same from a cache, measured on fixed ones."""

import csv
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from batches.augment import Draw, FlippedItems, RoughMaps
from batches.cache.build import build_cache
from batches.loader import TrainingData
from batches.mixed_prompts import MixedItems, MixedPrompts, read_tokenizer
from batches.prompt_policies import read_policy
from batches.prompts import PromptPolicy
from cldm.parts_present import STAGES
from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict
from learning.build import build_model
from learning.options import TrainOptions
from learning.train import train
from small import batch, small_config, small_model
from small_data import ENCODER, TALL, WIDE, write_items
from tutorial_dataset import MyDataset

TEXT = dict(vocab_size=1000, hidden_size=16, intermediate_size=32, num_hidden_layers=1)
TEXT |= dict(version=None, num_attention_heads=2)
CLIP = dict(target="ldm.modules.encoders.modules.FrozenCLIPEmbedder", params=TEXT)
POLICY = PromptPolicy(
    ({"garments": 1}, {"caption": 1, "others": 2}), phrase_dropout=0.3, shuffle=True, markers=("<", ">")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training folder with a cache, and the model beside it."""
    folder = tmp_path_factory.mktemp("data")
    config = small_config(cond_stage_config=CLIP)
    OmegaConf.save(OmegaConf.create(dict(model=config)), folder / "small.yaml")
    weights = small_model(zeros=False, cond_stage_config=CLIP).state_dict()
    write_state_dict(weights, folder / "ini.safetensors")
    for i in range(11):
        captions = dict(
            garments=f"a red hat, {i} bags, a blue top", caption=f"person {i}", blip="she, outside"
        )
        write_items(
            folder, [TALL if i % 2 else WIDE], i, captions=captions, split="val" if i > 7 else "train"
        )
    options = dict(dtype="float32", flips=True, batch_size=2)
    build_cache(MyDataset(folder), folder / "ini.safetensors", folder / "small.yaml", **options)
    return folder


def trained(folder, run, measured=False, **changes):
    """The published weights of a run."""
    options = dict(run=str(run), data=str(folder), model=f"{folder}/small.yaml", max_steps=3)
    options |= dict(base=f"{folder}/ini.safetensors", batch_size=2, learning_rate=1e-3, precision="32-true")
    options |= dict(workers=0, image_log_every=0, flip=True, seed=5, sampling_steps=2, measure_every=9)
    options |= dict(prompts=POLICY.text())
    judge = (lambda pictures: np.ones(pictures.shape[:3], np.uint8)) if measured else None
    held_out = MyDataset(folder, "val") if measured else None
    train(TrainOptions(**options | changes), MyDataset(folder, "train"), held_out, ENCODER, judge)
    return read_state_dict(run / "control.safetensors")


def losses(run):
    with open(run / "metrics.csv") as file:
        return np.array([float(row["loss"]) for row in csv.DictReader(file)])


def loaded(folder, epoch=0, workers=0, prompts=True, seed=1):
    """Prompts and hints of an epoch by item."""
    dataset = MyDataset(folder, "train")
    prompts = MixedPrompts(POLICY, dataset.data, read_tokenizer(folder / "small.yaml")) if prompts else None
    rough = RoughMaps(ENCODER, 3, 2)
    data = TrainingData(dataset, 2, seed, num_workers=workers, flip=True, rough=rough, prompts=prompts)
    loader, items = data.loader(), {}
    loader.batch_sampler.set_epoch(epoch)
    for place, loaded in enumerate(loader):
        for i, index in enumerate(loader.batch_sampler.items_at(place)):
            items[index] = loaded["txt"][i], loaded["hint"][i]
    return items


def test_prompts_repeat_by_seed_and_epoch_whatever_the_workers_and_change_no_map(folder):
    mixed, workers, plain = loaded(folder), loaded(folder, workers=2), loaded(folder, prompts=False)
    assert len(mixed) == 8 and mixed.keys() == workers.keys() == plain.keys()
    for index, (text, hint) in mixed.items():
        assert text == workers[index][0] != plain[index][0] == f"a red top, number {index // 2}"
        assert torch.equal(hint, workers[index][1]) and torch.equal(hint, plain[index][1])
    for others in (loaded(folder, epoch=1), loaded(folder, seed=2)):
        assert [text for text, _ in others.values()] != [mixed[index][0] for index in others]


def test_training_from_the_cache_is_training_without(folder, tmp_path, capsys):
    trained(folder, tmp_path / "cached", measured=True, measure_every=3, image_log_every=3)
    told = capsys.readouterr().out
    assert f"latents taken from {folder}/cache, prompts encoded in every step" in told
    assert "prompts: garments in 8, caption in 8, others in 8 of 8 lines" in told
    trained(folder, tmp_path / "plain", cached=False)
    assert "latents and prompts encoded in every step" in capsys.readouterr().out
    assert np.allclose(losses(tmp_path / "cached"), losses(tmp_path / "plain"), rtol=1e-5)
    trained(folder, tmp_path / "own", prompts="")
    assert not np.allclose(losses(tmp_path / "own"), losses(tmp_path / "plain"), rtol=1e-5)
    held_out = json.loads((tmp_path / "cached" / "samples" / "held_out.json").read_text())
    assert "<a red hat>, <8 bags>, <a blue top>, she, outside" in json.dumps(held_out)
    assert list((tmp_path / "cached").glob("image_log/train/*"))


def test_a_run_on_built_prompts_resumes_exactly_and_says_what_it_trained_on(folder, tmp_path):
    rough = dict(mask_dilation=3, mask_simplification=2, workers=2)
    whole = trained(folder, tmp_path / "whole", max_steps=6, **rough)  # an epoch has 4 steps
    for stop in (1, 5, 6):
        parts = trained(folder, tmp_path / "parts", max_steps=stop, **rough)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    written = OmegaConf.load(tmp_path / "whole" / "options.yaml").prompts
    told = read_metadata(tmp_path / "whole" / "control.safetensors")["prompt_policy"]
    assert told.pop("prompt_dropout") == 0.5
    assert read_policy(written) == read_policy(json.dumps(told)) == POLICY


def test_prompts_that_are_the_lines_own_come_from_the_cache(folder, tmp_path, capsys):
    trained(folder, tmp_path / "paper", prompts="paper", max_steps=1, prompt_dropout=0.25)
    told = capsys.readouterr().out
    assert f"latents and prompts taken from {folder}/cache" in told
    assert "prompts=paper: prompt_dropout=0.25, which was given, and not the 0.5 that it states" in told


def test_only_what_is_lacking_is_read_from_the_disk_and_left_out_again(folder):
    options = TrainOptions(model=f"{folder}/small.yaml", base=f"{folder}/ini.safetensors")
    model = build_model(options, without=STAGES[:1])
    text = model.cond_stage_model
    assert model.first_stage_model is None and text is not None
    with model.stages_present():
        assert model.first_stage_model is not None and model.cond_stage_model is text
    assert model.first_stage_model is None and model.cond_stage_model is text
    assert "cond_stage_model" in dict(model.named_children())


def test_the_image_log_shows_and_draws_fixed_prompts(monkeypatch):
    model, drawn = small_model(), batch()
    asked, encode = [], model.get_learned_conditioning
    monkeypatch.setattr(model, "get_learned_conditioning", lambda texts: asked.extend(texts) or encode(texts))
    monkeypatch.setattr("cldm.image_log.log_txt_as_img", lambda wh, texts: asked.extend(texts))
    model.log_images({**drawn, "fixed_txt": ["one", "two"]}, N=2, ddim_steps=1)
    assert asked == ["one", "two", "one", "two", "", ""]
    asked.clear()
    model.log_images(drawn, N=2, ddim_steps=1)
    assert asked[:2] == drawn["txt"]


@pytest.mark.parametrize("text", ["a left sleeve", "a sleeve"])
def test_a_drawn_prompt_that_tells_sides_keeps_its_picture_from_being_mirrored(text):
    item = dict(jpg=np.arange(12.0).reshape(2, 2, 3), hint=np.zeros((2, 2, 3)), txt="own")
    lines = [dict(target="0.png", prompt="own", captions=dict(blip=text))]
    prompts = MixedPrompts(PromptPolicy(({"blip": 1},), budget=0), lines)
    made = MixedItems(FlippedItems([item]), prompts, seed=0)[Draw(0, True)]
    assert made["txt"] == text
    assert np.array_equal(made["jpg"], item["jpg"]) == ("left" in text)


def test_data_and_models_that_no_prompt_can_be_built_for_are_named(folder, tmp_path):
    options = TrainOptions(run=str(tmp_path / "run"), model=f"{folder}/small.yaml", prompts="mixed")
    with pytest.raises(ValueError, match="the dataset has none in `data`"):
        train(options, [dict(txt="a dataset without lines")])
    config = OmegaConf.create(dict(model=small_config()))
    OmegaConf.save(config, tmp_path / "stub.yaml")
    with pytest.raises(ValueError, match="small.PromptStub of .*stub.yaml has no tokenizer: .* budget: 0"):
        read_tokenizer(tmp_path / "stub.yaml")
