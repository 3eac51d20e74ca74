"""What trains of each part of a try-on recipe, and how fast: what was asked, and nothing else moves."""

import copy
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from cldm.optimizer import build_optimizer, configure_optimizer, parameter_groups
from cldm.tryon.unet import TRAINED
from learning.build import check_options_of_recipe, describe_trainable
from learning.callbacks.gradients import Gradients, check_gradients
from learning.options import TrainOptions, parse_options
from learning.verified_files import are_equal
from small import small_model
from small_tryon import AGNOSTIC, COLLAGE_NET, MASK, REFERENCE, TEXT, TOKENS, batch, build, entry, garment
from tutorial_train import parse_arguments

ALL = r"."
OF_A_UNET = dict(
    none=r"(?!)",
    first=r"\.input_blocks\.0\.0\.",
    attn1=r"\.attn1\.",
    attn1_kv=r"\.attn1\.to_[kv]\.",
    reference=r"\.attn1\.to_(k|v|out)_ref\.",
    image=r"\.attn2\.to_[kv]_ip\.",
    transformers=r"blocks?\.[\d.]*1\.(norm|proj_in|proj_out|transformer_blocks)\.",
    decoder=r"\.(output_blocks|out)\.",
    all=ALL,
)


def two_networks():
    """The garment read by a U-Net of its own, and as an image prompt."""
    image = dict(image=entry("ImageTokens", site="decoupled", drop_to="zeros", **TOKENS))
    conditions = REFERENCE | image | dict(garment=garment())
    return build(conditions, person_unet=dict(mix="decoupled", context="text+image"))


def one_network():
    """The garment read by the person's U-Net (FastFit)."""
    read = entry("GarmentReference", context="none", time="none", width=32)
    return build(AGNOSTIC | MASK | dict(garment=read), person_unet=dict(context="skip"))


def half_locked():
    """A decoder, a branch and a projector (AnyDoor)."""
    image = entry("ImageTokens", site="replace", drop_to="zeros", **TOKENS)
    branch = dict(target="cldm.tryon.anydoor.CollageHint", params=dict(branch=COLLAGE_NET))
    return build(TEXT | dict(garment=image, control=branch), in_channels=4, person="HalfLockedUNet")


OF_PARTS = dict(unet=OF_A_UNET, garment=OF_A_UNET, image=dict(none=r"(?!)", all=r"image_proj\."))
OTHERS = dict(none=r"(?!)", all=r"(garment_(proj|first|classes)|control_model)\.")
CASES = [
    *((two_networks, dict(unet=choice, garment="none", image="all")) for choice in TRAINED),
    *((two_networks, dict(unet="none", garment=choice, image="none")) for choice in TRAINED[1:4]),
    *((two_networks, dict(unet="none", garment=choice, image="none")) for choice in TRAINED[6:]),
    (two_networks, dict(unet="reference+first", garment="attn1", image="none")),
    (two_networks, dict(unet="all", garment="all", image="all")),
    *((one_network, dict(unet=choice, garment="none")) for choice in ("attn1", "all")),
    *((one_network, dict(unet=choice, garment="all")) for choice in ("none", "decoder")),
    (half_locked, dict(unet="decoder", garment="all", control="all")),
    (half_locked, dict(unet="attn1", garment="none", control="none")),
    (half_locked, dict(unet="all", garment="none", control="all")),
    (half_locked, dict(unet="none", garment="none", control="all")),
]


def wanted_of(model, choices):
    """The names that train by the choices, but for what nothing reads."""
    names, found = [name for name, _ in model.named_parameters()], set()
    for part, choice in choices.items():
        patterns = OF_PARTS[part] if part == "unet" or hasattr(model, "garment_model") else OTHERS
        for module in model.part_modules()[part]:
            own = [name for name in names if name.startswith(f"{module}.")]
            found |= {name for name in own for one in choice.split("+") if re.search(patterns[one], name)}
    unused = [p for module in model.modules() for p in getattr(module, "unused_parts", list)()]
    unused = {id(p) for part in unused for p in part.parameters()}
    return {name for name, p in model.named_parameters() if name in found and id(p) not in unused}


@pytest.mark.parametrize(("made", "choices"), CASES, ids=lambda x: x if callable(x) else "-".join(x.values()))
def test_what_trains_gets_a_gradient_and_what_is_locked_stays_to_the_bit(made, choices):
    model = made().train()
    model.let_train(choices, {})
    model.learning_rate = 1e-3
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == wanted_of(model, choices) and model.choices() == choices
    optimizer = build_optimizer(parameter_groups(model), "adamw")
    given = batch()
    given["dropped"] = {name: torch.tensor([False, name == "garment"]) for name in model.conditions}
    still = set(trained)  # what no gradient reaches but round-off, as attention to equal tokens gives
    for step in range(2):
        model.shared_step(given, torch.Generator().manual_seed(step))[0].backward()
        check_gradients(model)
        still = {name for name, p in model.named_parameters() if name in still and p.grad.abs().max() < 1e-7}
        optimizer.step()
        optimizer.zero_grad()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert trained - still <= moved <= trained and len(still) < 0.2 * len(trained)


def test_the_recipe_says_what_trains_until_it_is_told_otherwise():
    model = build(REFERENCE | dict(garment=garment(train="attn1")), train_unet="first")
    model.let_train({}, {})
    assert model.choices() == dict(unet="first", garment="attn1")
    model.let_train(dict(unet="none"), {})
    assert model.choices() == dict(unet="none", garment="attn1")
    assert all(".attn1." in name for name, p in model.named_parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("choices", "rates", "words"),
    [
        (
            dict(garmet="all"),
            {},
            r"unknown part of the recipe, train.PART: 'garmet', did you mean 'garment'\?",
        ),
        (dict(mask="all"), {}, "unknown part .* 'mask'; known: unet, garment"),
        ({}, dict(unnet=1e-4), r"learning_rates.PART: 'unnet', did you mean 'unet'\?"),
        (dict(unet="atn1"), {}, r"train.unet=atn1: unknown choice .*'atn1', did you mean 'attn1'\?"),
        (dict(garment="attn1+frist"), {}, r"train.garment=attn1\+frist: .* did you mean 'first'\?"),
        (dict(garment="image"), {}, "train.garment=image: the recipe's garment has nothing of that kind"),
        (dict(unet="none"), dict(unet=1e-4), "learning_rates.unet is given, but with train.unet=none"),
        (dict(unet="none", garment="none"), {}, "nothing trains: all of train.unet, train.garment are none"),
    ],
)
def test_an_unknown_part_or_choice_is_refused_with_the_nearest(choices, rates, words):
    model = build(REFERENCE | dict(garment=garment()), train_unet="all")
    with pytest.raises(ValueError, match=words):
        model.let_train(choices, rates)


def test_a_control_has_no_parts_and_says_what_it_has():
    for option in (dict(train=dict(unet="all")), dict(learning_rates=dict(unet=1e-4))):
        with pytest.raises(ValueError, match=r"\.unet=.* is for a try-on recipe, .* sd_locked=false"):
            check_options_of_recipe(TrainOptions(**option), small_model())


def test_each_part_learns_at_its_rate_and_the_table_shows_it():
    model = build(REFERENCE | dict(garment=garment()), train_unet="attn1")
    model.learning_rate = 1e-5
    model.let_train(dict(garment="attn1_kv"), dict(garment=3e-4))
    rates = {p: group["lr"] for group in parameter_groups(model) for p in group["params"]}
    for name, p in model.named_parameters():
        wanted = 3e-4 if name.startswith("garment_model.") else 1e-5
        assert rates.get(p) == (wanted if p.requires_grad else None), name
    rows = {line.split("  ")[0]: line.split()[-1] for line in describe_trainable(model).splitlines()[1:]}
    assert rows["model, train.unet=attn1"] == "1e-05"
    assert rows["garment_model, train.garment=attn1_kv"] == "0.0003"
    assert rows["model"] == rows["garment_model"] == rows["first_stage_model"] == "locked"
    model.warmup_steps = 4  # all rates rise together
    optimizer = configure_optimizer(model)["optimizer"]
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([1e-5 / 4, 3e-4 / 4])


class InEightBits(torch.optim.AdamW):
    """Of bitsandbytes' optimizer what matters here: groups, and no step or state without a gradient."""


def test_8_bit_adam_takes_parts_and_rates_and_minds_the_guard(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", SimpleNamespace(AdamW8bit=InEightBits))
    model = build(REFERENCE | dict(garment=garment()), train_unet="attn1").train()
    model.let_train(dict(garment="attn1"), dict(garment=1e-3))
    model.optimizer, model.learning_rate = "adamw8bit", 1e-4
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, InEightBits)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3, 1e-4}
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, precision_plugin=None)
    trainer.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=0))
    trainer.datamodule = SimpleNamespace(names_at=lambda place: ["0.png"])
    guard, states = Gradients(TrainOptions()), []
    guard.log = lambda *arguments: None
    for factor in (1.0, torch.nan, 1.0):
        loss = factor * model.shared_step(batch(), torch.Generator().manual_seed(0))[0]
        guard.on_before_backward(trainer, model, loss)
        loss.backward()
        guard.on_before_optimizer_step(trainer, model, optimizer)
        optimizer.step()
        optimizer.zero_grad()
        states.append(copy.deepcopy([[*model.parameters()], optimizer.state_dict()["state"]]))
    assert are_equal(states[0], states[1]) and not are_equal(states[1], states[2]) and guard.bad_steps == 1


@pytest.mark.parametrize(
    "given",
    [
        ["train.unet=attn1", "learning_rates.my_coat=1e-4"],
        ["--train.unet", "attn1", "--learning-rates.my_coat", "1e-4"],
        ["--train.unet=all", "--train.unet=attn1", "--learning_rates.my_coat=1e-4"],
    ],
)
def test_parts_are_spelt_as_other_options_are(monkeypatch, given, tmp_path):
    (tmp_path / "own.yaml").write_text("train: {garment: none, unet: all}\n")
    monkeypatch.setattr(sys, "argv", ["tutorial_train.py", "--config", str(tmp_path / "own.yaml"), *given])
    options, _ = parse_arguments()
    assert options.train == dict(unet="attn1", garment="none") and options.learning_rates == dict(
        my_coat=1e-4
    )


def test_a_slip_in_an_option_with_parts_names_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tutorial_train.py", "trian.unet=all"])
    with pytest.raises(SystemExit):
        parse_arguments()
    assert "there is no option 'trian.unet', did you mean '--train.unet'?" in capsys.readouterr().err
    for override, words in (
        ("learning_rates.unet=fast", "learning_rates"),
        ("learning_rates.unet=2", "learning_rates.unet must be between 0 and 1, got 2"),
        ("train=all", "train"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_options([], [override])
