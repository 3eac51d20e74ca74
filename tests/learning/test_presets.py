"""What fits: memory presets, the estimate behind them, and the dry run that prints it."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import learning.dry_run
from cldm.parts_present import STAGES
from learning.build import build_model, outline_model
from learning.dry_run import (
    CPU_ATTENTION,
    Memory,
    count_block_bytes,
    count_saved_bytes,
    count_step_flops,
    describe_fit,
    describe_time_on_cpu,
    estimate_memory,
    is_recomputed,
    list_ways,
)
from learning.options import (
    PRESETS,
    TRYON_PRESETS,
    TrainOptions,
    find_tryon_presets,
    parse_options,
    set_accumulation,
)
from learning.train import train
from small import condition, noisy
from small_data import WIDE, write_base, write_items
from tutorial_dataset import MyDataset

SD15 = "models/train_sd15.yaml"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_what_depends_on_memory_and_nothing_else(preset):
    plain, chosen = parse_options([], []), parse_options([], [f"preset={preset}"])
    changed = {name for name, value in vars(chosen).items() if value != getattr(plain, name)}
    assert changed <= {"preset", *PRESETS[preset], "effective_batch"}
    assert {name: getattr(chosen, name) for name in PRESETS[preset]} == PRESETS[preset]


def test_a_preset_yields_to_the_command_line_and_not_to_yamls(tmp_path):
    (tmp_path / "own.yaml").write_text("batch_size: 3\npreset: 40gb\n")
    assert parse_options([tmp_path / "own.yaml"], []).batch_size == PRESETS["40gb"]["batch_size"]
    assert parse_options([SD15], ["preset=12gb"]).recompute and not parse_options([SD15], []).recompute
    assert parse_options([SD15], ["batch_size=2"]).batch_size == 2
    with pytest.raises(ValueError, match="preset must be one of 12gb, .* got '13gb'"):
        parse_options([SD15], ["preset=13gb"])


TRYON = "models/train_tryon.yaml"
ATTENTION = ["train.unet=attn1", "train.garment=attn1"]


def test_a_preset_of_a_recipe_goes_by_how_much_of_it_trains():
    joint = parse_options([TRYON], ["preset=24gb"])
    assert joint.recompute and joint.optimizer == "adamw8bit" and joint.effective_batch == 32
    both = parse_options([TRYON], ["preset=48gb"])
    assert not both.recompute and both.optimizer == "adamw" and both.batch_size > joint.batch_size
    alone = parse_options([TRYON], ["preset=24gb", *ATTENTION])
    assert not alone.recompute and alone.optimizer == "adamw" and alone.batch_size > joint.batch_size
    words = (
        r"trains 1,717 million .*: give train.unet=attn1 train.garment=attn1, or one of preset=24gb, .*=80gb"
    )
    with pytest.raises(ValueError, match=words):
        parse_options([TRYON], ["preset=12gb"])
    assert parse_options([TRYON], ["preset=12gb", *ATTENTION, "batch_size=1"]).batch_size == 1


def test_presets_take_more_pictures_of_what_trains_less_and_on_larger_cards():
    tables = [TRYON_PRESETS[most] for most in sorted(TRYON_PRESETS)]
    for table in tables:
        assert list(table) == [name for name in PRESETS if name in table]
        assert {"24gb", "48gb", "80gb"} <= {*table}
        assert all(32 % found["batch_size"] == 0 for found in table.values())
        costs = [(f["optimizer"] == "adamw8bit", f["recompute"], -f["batch_size"]) for f in table.values()]
        assert costs == sorted(costs, reverse=True)
    for lighter, heavier in zip(tables, tables[1:], strict=False):
        assert heavier.keys() <= lighter.keys()
        assert all(lighter[name]["batch_size"] >= heavier[name]["batch_size"] for name in heavier)
    assert find_tryon_presets(1e9) == {}


@pytest.mark.parametrize(
    ("batch_size", "devices", "accumulate"), [(4, 1, 8), (8, 2, 2), (5, 1, 7), (64, 1, 1)]
)
def test_a_step_takes_at_least_the_effective_batch(batch_size, devices, accumulate):
    options = TrainOptions(batch_size=batch_size, effective_batch=32, accumulate=3)
    assert set_accumulation(options, devices).accumulate == accumulate
    assert set_accumulation(replace(options, effective_batch=0), devices).accumulate == 3


def test_micro_batches_given_by_hand_are_taken():
    options = parse_options([SD15], ["batch_size=2", "accumulate=16"])
    assert set_accumulation(options, 1).accumulate == 16
    with pytest.raises(ValueError, match="give one of them, not both"):
        parse_options([SD15], ["effective_batch=32", "accumulate=3"])


@pytest.fixture
def options(tmp_path):
    write_base(tmp_path)
    files = dict(model=str(tmp_path / "small.yaml"), base=str(tmp_path / "ini.safetensors"))
    return TrainOptions(run=str(tmp_path / "run"), data=str(tmp_path), precision="32-true", **files)


@pytest.mark.parametrize("recompute", [False, True])
def test_activations_are_counted_as_autograd_keeps_them(options, recompute):
    """On the difference between two batches, in which weights that are kept along cancel out."""
    model, real = build_model(replace(options, recompute=recompute)), []
    for num in (1, 2):
        kept = {}

        def pack(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
            return tensor

        x, t = noisy(num)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.apply_model(x, t, condition(num))
        real.append(sum(storage.nbytes() for storage in kept.values()))
    counted = [count_saved_bytes(model, options, WIDE, num, num_tokens=5) for num in (1, 2)]
    assert counted[1] - counted[0] == pytest.approx(real[1] - real[0], rel=0.01)


def test_recomputation_holds_one_block_at_a_time_beside_what_enters_each(options):
    kept = {}
    for recompute in (False, True):
        given = replace(options, recompute=recompute)
        model = build_model(given)
        kept[recompute] = estimate_memory(model, given, WIDE, num_tokens=5).per_picture
    entering = [count_saved_bytes(model, options, WIDE, num, num_tokens=5) for num in (1, 2)]
    blocks = [count_block_bytes(model, options, WIDE, num, num_tokens=5) for num in (1, 2)]
    blocks = [after - before for before, after in zip(*blocks, strict=True)]
    assert kept[True] == entering[1] - entering[0] + max(blocks)
    assert entering[1] - entering[0] < kept[True] < kept[False]
    assert sum(blocks) < kept[False]  # what is outside of all blocks is kept as well
    assert all(module.use_checkpoint for module in model.modules() if is_recomputed(module))


def test_the_arithmetic_of_a_step_is_counted_as_it_is_done(options):
    model = build_model(replace(options, recompute=False))
    x, t = noisy(1)
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        model.apply_model(x, t, condition(1)).square().mean().backward()
    assert count_step_flops(model, options, WIDE, num_tokens=5) == counter.get_total_flops() > 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (90, "computing: 90 s at least on this processor; no GPU was found"),
        (
            3 * 24 * 3600,
            "warning: no GPU was found, and on this processor the run would take 3 days at least",
        ),
        (
            35 * 24 * 3600,
            "warning: no GPU was found, and on this processor the run would take 5 weeks at least",
        ),
    ],
)
def test_a_run_that_nobody_would_wait_for_is_warned_of(seconds, said):
    assert describe_time_on_cpu(seconds).startswith(said)


@pytest.mark.parametrize("gpu", [False, True])
def test_a_dry_run_warns_of_a_processor_only_where_there_is_no_gpu(
    options, tmp_path, capsys, monkeypatch, gpu
):
    write_items(tmp_path, [WIDE] * 2)
    monkeypatch.setattr("learning.dry_run.measure_matrix_rate", lambda: 1e6)
    monkeypatch.setattr("learning.dry_run.torch.accelerator.is_available", lambda: gpu)
    train(replace(options, dry_run=True, batch_size=2, workers=0), MyDataset(tmp_path))
    assert ("warning: no GPU was found" in capsys.readouterr().out) != gpu


def test_an_estimate_counts_every_weight_once_and_what_options_add(options):
    model = build_model(options)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in model.parameters())
    parts = estimate_memory(model, options, WIDE, num_tokens=5).parts
    weights = ("locked weights", "encoders, which a cache leaves out", "trained weights, fp32")
    assert sum(parts[name] for name in weights) == 4 * whole
    cached = build_model(options, without=STAGES)
    assert weights[1] not in estimate_memory(cached, options, WIDE, num_tokens=5).parts
    assert parts["state of adamw"] == 2 * parts["their gradients"] == 8 * trained
    more = replace(options, ema_decay=0.999, optimizer="adamw8bit", precision="bf16-mixed")
    more = estimate_memory(model, more, WIDE, num_tokens=5).parts
    assert more["state of adamw8bit"] == more["copies of them in 16 bit"] == 2 * trained
    assert more["average of the trained weights"] == 4 * trained


def test_an_outline_counts_as_the_model_does_and_reads_no_weights(options):
    model = build_model(options)
    wanted = estimate_memory(model, options, WIDE, num_tokens=5)
    outline = outline_model(replace(options, base="none.ckpt"))
    assert estimate_memory(outline, options, WIDE, num_tokens=5) == wanted
    names = [[(n, p.requires_grad, p.shape) for n, p in m.named_parameters()] for m in (model, outline)]
    assert names[0] == names[1]


def test_what_does_not_fit_is_told_with_what_would(options, monkeypatch):
    options = replace(options, recompute=False, batch_size=6)
    model, gib = outline_model(options), learning.dry_run.GIB
    memory = Memory({"weights": 9 * gib}, gib)
    assert describe_fit(model, memory, options, 17 * gib, WIDE) == "it fits 17 GiB: 2.0 GiB stay free"
    found = {
        (True, "adamw"): Memory({"weights": 9 * gib}, gib // 4),
        (True, "adamw8bit"): Memory({}, gib // 4),
    }
    monkeypatch.setattr(
        learning.dry_run, "estimate_memory", lambda model, now, size: found[now.recompute, now.optimizer]
    )
    assert describe_fit(model, memory, options, 12 * gib, WIDE).splitlines() == [
        "it does not fit 12 GiB, of which 2 should stay free; what would:",
        "  batch_size=1: 10.0 GiB",
        "  recompute=true batch_size=4: 10.0 GiB",
        "  recompute=true optimizer=adamw8bit batch_size=6: 1.5 GiB",
    ]
    assert "; neither recomputation nor 8-bit" in describe_fit(model, memory, options, 2 * gib, WIDE)


def test_a_recipe_has_attention_alone_as_a_way_to_need_less(options):
    recipe = "models/tryon_tiny_{}.yaml"
    ways = {}
    for name in ("joint", "catvton"):
        given = replace(options, model=recipe.format(name), recompute=True)
        ways[name] = list_ways(outline_model(given), given)
    assert ways["catvton"] == [{}, dict(optimizer="adamw8bit")]
    assert ways["joint"] == [*ways["catvton"], dict(train=dict(unet="attn1", garment="attn1"))]


def test_a_dry_run_says_what_would_be_and_leaves_nothing(options, tmp_path, capsys):
    write_items(tmp_path, [WIDE] * 8)
    dry = replace(options, dry_run=True, batch_size=2, accumulate=2, max_steps=6, workers=0)
    train(dry, MyDataset(tmp_path))
    shown = capsys.readouterr().out
    for text in ("control_model", "activations of 2", "a step takes 4 pictures, an epoch 2 steps; 6 steps"):
        assert text in shown
    assert "24 pictures, 3.0 epochs" in shown and "data path:" in shown
    assert not (tmp_path / "run").exists()
    train(replace(dry, batch_size=8, accumulate=1), MyDataset(tmp_path))  # a single batch has a rate as well
    assert "data path: 0 " not in capsys.readouterr().out


def test_a_run_that_cannot_begin_leaves_no_folder(options, tmp_path):
    write_items(tmp_path, [WIDE] * 8)
    for wrong in (dict(precision="fp16"), dict(strategy="foo")):
        with pytest.raises(ValueError, match="fp16|foo"):
            train(replace(options, batch_size=2, **wrong), MyDataset(tmp_path))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(NotADirectoryError, match="run is a file, .* give another run=FOLDER"):
        train(replace(options, run=str(tmp_path / "run" / "below")), MyDataset(tmp_path))
