"""Policies come from yaml, set options below the command line, and are refused by the key that is wrong."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from batches.prompt_policies import PRESETS, read_policy
from batches.prompts import PromptPolicy, build
from learning.options import TrainOptions, parse_options
from learning.run_metadata import collect_metadata

LINE = dict(prompt="own", captions=dict(garments="a hat, a bag", blip="a woman"))


def test_presets_are_what_their_names_say():
    policies = {path.stem: read_policy(path.stem) for path in PRESETS.glob("*.yaml")}
    made = {name: build(policy, LINE, len).text for name, policy in policies.items()}
    own = dict(original="own", paper="own")
    assert made == own | dict(attributes="a hat, a bag", mixed="a hat, a bag, a woman")
    assert {name for name, policy in policies.items() if policy.keeps_prompts()} == own.keys()
    dropout = {name: policy.prompt_dropout for name, policy in policies.items()}
    assert dropout == dict(original=0, paper=0.5, attributes=None, mixed=None)
    assert policies["mixed"].budget == policies["attributes"].budget == 75


def test_the_prompts_of_a_policy_with_any_effect_are_not_the_lines_own():
    own = read_policy("original")
    for changes in (
        dict(budget=75),
        dict(prefix="a "),
        dict(suffix=", b"),
        dict(garments=("prompt",)),
        dict(sources=({"prompt": 1, "blip": 1},)),
    ):
        assert not replace(own, **changes).keeps_prompts()


def test_a_policy_survives_being_written_down():
    policy = PromptPolicy(
        ({"garments": 1, "x": 0.5}, {"others": 2}),
        garments=("x",),
        budget=40,
        phrase_dropout=0.25,
        shuffle=True,
        markers=("<", ">"),
        prefix="a 'photo' of \"",
        suffix=": it's",
    )
    assert read_policy(policy.text()) == policy
    assert "prompt_dropout" not in replace(policy, prompt_dropout=0.5).text()


def test_a_stated_prompt_dropout_beats_the_runs_yaml_and_not_the_command_line(tmp_path):
    preset = tmp_path / "run.yaml"
    preset.write_text("prompt_dropout: 0.3\nprompts: paper\n")
    assert parse_options([preset], []).prompt_dropout == 0.5
    assert parse_options([preset], ["prompts=original"]).prompt_dropout == 0
    assert parse_options([preset], ["prompts=mixed"]).prompt_dropout == 0.3
    assert parse_options([preset], ["prompts="]).prompt_dropout == 0.3
    given = parse_options([preset], ["prompt_dropout=0.1"])
    assert given.prompt_dropout == 0.1 and given.prompts == "paper"


def test_options_that_a_run_wrote_down_are_the_same_run_again(tmp_path):
    options = TrainOptions(prompts=read_policy("paper").text(), prompt_dropout=0.2)
    OmegaConf.save(OmegaConf.structured(options), tmp_path / "options.yaml")
    assert parse_options([tmp_path / "options.yaml"], []) == options


def test_metadata_hold_the_whole_policy():
    policy, options = read_policy("mixed"), TrainOptions(prompt_dropout=0.3)
    told = collect_metadata(options, lines=[LINE], policy=policy)["prompt_policy"]
    assert told.pop("prompt_dropout") == 0.3 and read_policy(json.dumps(told)) == policy


SOURCES = "sources: [{garments: 1}]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sources: [{a: 1}]\nbugdet: 75", "unknown key 'bugdet', did you mean 'budget'"),
        ("budget: 75", "lacks the key 'sources', rows of {source: weight above 0}"),
        ("sources: {garments: 1}", "sources must be rows"),
        ("sources: [garments]", "sources must be rows"),
        ("sources: []", "sources must be rows"),
        ("sources: [{}]", "sources must be rows"),
        ("sources: [{garments: 0}]", "sources must be rows of {source: weight above 0}.*got .*0"),
        ("sources: [{garments: .inf}]", "sources must be rows"),
        ("sources: [{garments: yes}]", "sources must be rows"),
        (SOURCES + "garments: garments", "garments must be a list of sources, got 'garments'"),
        (SOURCES + "budget: 7.5", "budget must be a whole number of tokens"),
        (SOURCES + "budget: -1", "budget must be"),
        (SOURCES + "phrase_dropout: 1.5", "phrase_dropout must be a share from 0 to 1"),
        (SOURCES + "phrase_dropout: .nan", "phrase_dropout must be"),
        (SOURCES + "shuffle: 1", "shuffle must be true or false"),
        (SOURCES + "markers: [<]", "markers must be two texts"),
        (SOURCES + "prefix: a photo of", "prefix must be a text that ends with a space or a mark"),
        (SOURCES + "suffix: studio", "suffix must be a text that begins with a space or a mark"),
        (SOURCES + "prompt_dropout: half", "prompt_dropout must be a share"),
        (SOURCES + SOURCES, "is no yaml: .*duplicate"),
        ("- a", "must hold a prompt policy"),
        ("a: [", "is no yaml"),
    ],
)
def test_a_wrong_policy_is_refused_by_file_and_key(tmp_path, content, message):
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"(?s)policy.yaml.*{message}"):
        parse_options([], [f"prompts={path}"])


@pytest.mark.parametrize("name", ["mixd", "no/such.yaml", "3", "{a: 1}", "[a]"])
def test_a_name_of_nothing_is_refused_with_the_names_that_there_are(name):
    with pytest.raises(ValueError, match="prompts.*(attributes, mixed, original, paper|a preset's name)"):
        parse_options([], [f"prompts={name}"])
