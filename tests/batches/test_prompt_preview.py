"""The preview shows what a first epoch trains on, and counts what the budget took from all lines."""

import json
import sys

import pytest

import tutorial_dataset_test
from batches.mixed_prompts import MixedPrompts, preview, read_tokenizer
from batches.prompt_policies import read_policy
from batches.prompts import PromptPolicy
from sources import ROOT

TINY, PHOTOS = (str(ROOT / "models" / f"cldm_{name}.yaml") for name in ("tiny", "v15"))


def line(i, garments):
    return dict(source="m.png", target=f"{i}.png", prompt=f"own {i}", captions=dict(garments=garments))


LINES = [line(i, "a red dress, a hat") for i in range(7)]
LINES += [line(7, "a hat, " + "red " * 80), line(8, "red " * 80 + ", a hat"), line(9, "")]


def test_prompts_are_those_of_a_first_epoch_with_their_tokens_and_what_was_cut():
    shown = preview(LINES, "attributes", PHOTOS, num=20).splitlines()
    drawn = MixedPrompts(read_policy("attributes"), LINES, read_tokenizer(PHOTOS)).drawn(0, epoch=0, seed=0)
    assert shown[0].split(maxsplit=3) == ["6", "of", "75", drawn.text]
    assert shown[7].split(maxsplit=3) == ["2", "of", "75", "a hat"]
    assert shown[8].strip() == f"cut: {'red ' * 80}".strip()
    assert shown[9].startswith("  80 of 75") and shown[10].strip() == "cut: a hat"
    assert shown[12:] == [
        "columns: garments in 9, prompt in 10 lines",
        "prompts: garments in 9, attributes in 0 of 10 lines; 1 have none of them and keep their own prompt",
        f"tokens of {PHOTOS}: mean 12.6, longest 80 of 75, 8.png",
        "2 of 10 prompts lost phrases; 1 are too long all the same",
    ]


def test_the_asked_number_of_prompts_is_shown_in_the_tokens_of_the_asked_model():
    for num in (1, 3, 10):
        shown = preview(LINES[:7] * 5, "attributes", TINY, num).splitlines()
        assert len(shown) == num + 4 and shown[0].split()[2] == "75"
    other = preview([line(0, "a houndstooth turtleneck")], "attributes", TINY, 1)
    assert int(other.split()[0]) > int(
        preview([line(0, "a houndstooth turtleneck")], "attributes", PHOTOS, 1).split()[0]
    )


def test_the_script_prints_them_and_names_what_is_wrong(tmp_path, monkeypatch, capsys):
    (tmp_path / "prompt.json").write_text("\n".join(map(json.dumps, LINES)))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tutorial_dataset_test.py", str(tmp_path), *arguments])
        try:
            code = tutorial_dataset_test.main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    code, shown = run("--prompts", "attributes", "--config", TINY, "--limit", "2")
    assert not code and shown.count(" of 75  ") == 2
    assert "error: prompts=no is no file" in run("--prompts", "no")[0]


@pytest.mark.parametrize(
    ("sources", "garments", "message"),
    [
        (["garments", "captoin"], (), "no line has captions of 'captoin', did you mean 'caption'"),
        (["promt"], (), "'promt', did you mean 'prompt'"),
        (["caption", "other"], (), "'other', did you mean 'others'"),
        (["caption", "others"], ["garmets"], "'garmets', did you mean 'garments'"),
        (["caption"], ["captions"], None),  # the near one is named as well
        (["garments", "attributes", "kosmos2"], ["garments", "attributes"], None),
    ],
)
def test_a_misspelt_column_is_an_error_and_a_lawfully_absent_one_is_said(sources, garments, message):
    policy = PromptPolicy(tuple({name: 1} for name in sources), garments, budget=0)
    captions = dict(garments="a hat", caption="a woman", blip="a man")
    prompts = MixedPrompts(policy, [dict(target="0.png", prompt="own", captions=captions)])
    if message:
        with pytest.raises(ValueError, match=message):
            prompts.summary()
    else:
        assert ("; no line has kosmos2" in prompts.summary()) == ("kosmos2" in sources)
