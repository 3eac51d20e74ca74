"""What a resumed run computes or measures otherwise than before is refused, or named; all else is free."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import learning.resuming as resuming
from cldm.logger import ImageLogger
from jobs.whole_files import alone_in
from learning.callbacks.checkpoints import check_fit
from learning.options import TrainOptions
from learning.resuming import COMPUTED, FREE, MEASURED, RESTORED, SHARES
from learning.run_facts import collect_facts, digest_file
from learning.train import train
from small import small_model
from small_data import ENCODER, TALL, WIDE, write_items
from tutorial_dataset import MyDataset

OTHERWISE = "so that it goes on otherwise: "
NOT_COMPARED = "does not compare with what was before: "


@pytest.fixture
def options(base, tmp_path):
    (tmp_path / "data").mkdir()
    write_items(tmp_path / "data", [WIDE] * 8, split="train")
    write_items(tmp_path / "data", [WIDE], start=8, split="val")
    files = dict(run=str(tmp_path / "run"), data=str(tmp_path / "data"), model=f"{base}/small.yaml")
    files |= dict(base=f"{base}/ini.safetensors", precision="32-true", batch_size=2, workers=0)
    return TrainOptions(**files, image_log_every=0, checkpoint_every=100, max_steps=1, measure_maps=1)


def trained(options):
    data = options.data
    train(options, MyDataset(data, "train"), MyDataset(data, "val"), ENCODER)


def test_every_option_is_refused_named_or_free_at_a_resumption():
    groups = [*RESTORED, *COMPUTED, *SHARES, *MEASURED, *FREE]
    assert sorted(groups) == sorted(field.name for field in fields(TrainOptions))


CHANGED = dict(
    compile=True,
    gradient_clip=2.0,
    ema_decay=0.5,
    min_snr_gamma=5.0,
    zero_terminal_snr=True,
    prompts="mixed",
    prompt_dropout=0.25,
    hint_dropout=0.25,
    mask_dilation=3,
    mask_simplification=3,
    after_convergence="accumulate:4",
    flip=True,
    seed=1,
    strategy="ddp",
    measure_every=7,
    measure_maps=3,
    sampling_steps=3,
    guidance=2.0,
)


def checkpoint_of(options, monkeypatch, **facts):
    """steps_done of a last.ckpt that was made with these options."""
    names = *RESTORED, *COMPUTED, *MEASURED, *SHARES
    content = dict.fromkeys(resuming.RESUMED, 0) | dict(facts=facts)
    content["options"] = {name: getattr(options, name) for name in names}
    monkeypatch.setattr(resuming, "read_content", lambda path: content)
    return lambda now, **others: resuming.read_steps_done(Path(options.run, "last.ckpt"), now, others)


@pytest.mark.parametrize("name", [*COMPUTED, *MEASURED])
def test_a_changed_option_is_named_with_both_values(monkeypatch, capsys, name):
    before = TrainOptions()
    now = replace(before, **{name: CHANGED.get(name, "other" if name != "cached" else False)})
    assert getattr(now, name) != getattr(before, name)
    checkpoint_of(before, monkeypatch)(now)
    told = NOT_COMPARED if name in MEASURED else OTHERWISE
    shown = [getattr(each, name) if getattr(each, name) != "" else "none" for each in (before, now)]
    assert f"{told}{name} {shown[0]} -> {shown[1]}" in capsys.readouterr().out


@pytest.mark.parametrize("name", RESTORED)
def test_what_comes_with_the_optimizers_state_is_refused(monkeypatch, name):
    other = dict(optimizer="adamw8bit", lr_schedule="cosine", sd_locked=False, only_mid_control=True)
    other |= dict(train=dict(unet="attn1", coat="none"), learning_rates=dict(unet=1e-4))
    now = replace(TrainOptions(), **{name: other.get(name, 3)})
    started = {name: f"no {name}.PART" for name in ("train", "learning_rates")}.get(name, f"{name}=")
    with pytest.raises(
        ValueError, match=f"was started with {started}.*, got {name}.*: resume with the former"
    ):
        checkpoint_of(TrainOptions(), monkeypatch)(now)
    if name == "train":
        with pytest.raises(ValueError, match=r"with train.unet=attn1 train.coat=none, got no train.PART"):
            checkpoint_of(now, monkeypatch)(TrainOptions())


def test_how_a_step_is_shared_is_no_change_and_how_many_pictures_it_takes_is_one(
    options, capsys, monkeypatch
):
    dataset, now = MyDataset(options.data, "train"), replace(options, batch_size=1, accumulate=2)
    facts, alike, other = (collect_facts(o, n, dataset) for o, n in ((options, 1), (now, 1), (now, 2)))
    checkpoint_of(options, monkeypatch, **facts)(now, **alike)
    assert capsys.readouterr().out == ""
    checkpoint_of(options, monkeypatch, **facts)(now, **other)
    assert f"{OTHERWISE}pictures of a step 2 -> 4\n" in capsys.readouterr().out
    later = [
        collect_facts(replace(options, batch_size=size, after_convergence=f"accumulate:{num}"), 1, dataset)
        for size, num in ((2, 4), (1, 8), (1, 4))
    ]
    assert later[0]["after_convergence"][0] == later[1]["after_convergence"][0]
    assert later[0]["after_convergence"][0] != later[2]["after_convergence"][0]


def test_a_fact_counts_and_not_how_it_is_written(monkeypatch, capsys):
    before = TrainOptions(precision="auto", base="a.ckpt")
    resume = checkpoint_of(before, monkeypatch, precision=["32-true", "32-true"], base=["1", "a.ckpt (1)"])
    resume(replace(before, base="b.ckpt"), precision=["32-true", "32-true"], base=["1", "b.ckpt (1)"])
    assert capsys.readouterr().out == ""
    resume(before, precision=["bf16-mixed", "bf16-mixed"], base=["2", "a.ckpt (2)"])
    out = capsys.readouterr().out
    assert f"{OTHERWISE}base a.ckpt (1) -> a.ckpt (2), precision 32-true -> bf16-mixed" in out


def test_a_whole_policy_of_prompts_is_no_word_of_a_line(monkeypatch, capsys):
    before = TrainOptions(prompts="x" * 1000)
    checkpoint_of(before, monkeypatch)(replace(before, prompts="y" * 1000))
    assert f"{OTHERWISE}prompts, which is another\n" in capsys.readouterr().out


def test_where_a_falling_rate_ends_is_a_change_and_where_a_constant_one_does_is_none(options):
    dataset = MyDataset(options.data, "train")
    for schedule, names in (("constant", set()), ("linear", {"max_steps"}), ("cosine", {"max_steps"})):
        one, two = (
            collect_facts(replace(options, lr_schedule=schedule, max_steps=n), 1, dataset) for n in (5, 9)
        )
        assert {name for name in one if one[name][0] != two[name][0]} == names


def test_files_count_by_their_content_and_not_by_place_or_date(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "x").write_bytes(bytes(10_000_000))
    one, two = (digest_file(tmp_path / folder) for folder in ("a", "b"))
    assert one == two == digest_file(tmp_path / "b")
    assert digest_file(tmp_path / "a/deep/x") == digest_file(tmp_path / "b/deep/x") != one
    (tmp_path / "b/deep/x").write_bytes(bytes(9_999_999) + b"1")
    assert digest_file(tmp_path / "a/deep/x") != digest_file(tmp_path / "b/deep/x")
    (tmp_path / "c").touch()
    assert digest_file(tmp_path / "c") != digest_file(tmp_path / "a/deep/x")


def test_changed_data_are_named_and_the_next_epoch_begins(options, capsys):
    trained(options)
    trained(replace(options, max_steps=2))
    assert "changed since" not in capsys.readouterr().out
    folder = Path(options.data)
    write_items(folder, [TALL] * 4, start=9, split="train")
    trained(replace(options, max_steps=3))
    out = capsys.readouterr().out
    assert re.search(rf"{OTHERWISE}data {folder}, 8 items \(\w+\) -> {folder}, 12 items \(\w+\)\n", out)
    assert "other data, or another seed, than before: the next epoch begins" in out
    cv2.imwrite(str(folder / "8.png"), np.zeros((64, 64, 3), np.uint8))
    lines = [json.loads(line) for line in (folder / "prompt.json").read_text().splitlines()]
    assert lines[8]["split"] == "val"
    trained(replace(options, max_steps=4))
    out = capsys.readouterr().out
    assert NOT_COMPARED + "held-out data 1 items" in out and OTHERWISE not in out


def test_another_model_is_refused_by_the_first_tensor_that_differs(options, base, tmp_path, capsys):
    trained(options)
    with pytest.raises(ValueError, match="last.ckpt is of another model than .* differ in control_model.*"):
        check_fit({"control_model.other": np.zeros(1)}, small_model(), tmp_path, options.model)
    text = (base / "small.yaml").read_text()
    (tmp_path / "same.yaml").write_text(text)
    trained(replace(options, max_steps=2, model=str(tmp_path / "same.yaml")))
    assert "changed since" not in capsys.readouterr().out
    (tmp_path / "same.yaml").write_text(f"# for 1.5\n{text}")
    trained(replace(options, max_steps=3, model=str(tmp_path / "same.yaml")))
    assert f"{OTHERWISE}model " in capsys.readouterr().out


def test_the_checkpoint_is_looked_for_when_no_other_run_can_write_it(options, monkeypatch):
    looked = []

    def steps_done(last, now, facts):
        with pytest.raises(ValueError, match="is being written by another"), alone_in(last.parent):
            pass
        looked.append(last)
        return 1

    trained(options)
    monkeypatch.setattr("learning.train.read_steps_done", steps_done)
    trained(options)
    assert len(looked) == 1


def test_a_start_that_is_refused_leaves_no_folder_and_one_that_trains_keeps_its(options, tmp_path):
    wrong = replace(options, after_convergence="accumulate:3", accumulate=2)
    with pytest.raises(ValueError, match="must be a multiple"):
        trained(wrong)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with alone_in(tmp_path / "run"), pytest.raises(ValueError, match="is being trained by another process"):
        trained(options)
    assert (tmp_path / "run").exists()


def test_a_step_that_was_logged_is_not_logged_again_when_it_is_resumed():
    logger, drawn = ImageLogger(2), []
    logger._draw = lambda *arguments: drawn.append(trainer.global_step) or {}
    logger.save = lambda *arguments: None
    trainer = type("Trainer", (), dict(global_step=2, is_global_zero=False))
    logger.on_train_start(trainer, None)
    for step in (2, 2, 3, 4, 4):  # micro-batches after the step that the run was resumed at
        trainer.global_step = step
        logger.on_train_batch_end(trainer, None, None, None, 0)
    assert drawn == [4]
