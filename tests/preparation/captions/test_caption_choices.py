"""What the command line asks of captioners is understood, or refused with the remedy."""

import subprocess
import sys
from dataclasses import fields

import pytest

from annotator.caption.captioners import CAPTIONERS
from caption_folder import StubOptions, job, make_folder
from preparation.captions.command_line import read_names, read_options, read_weights
from sources import ROOT


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", 3)


def test_help_prints_the_options_of_every_captioner():
    command = [sys.executable, "tutorial_caption.py", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    shown = " ".join(said.split())
    for name, entry in CAPTIONERS.items():
        if name != "stub":
            assert f"options of {name}:" in said
            assert all(field.metadata["help"] in shown for field in fields(entry.options))
    assert "--kosmos2.num-beams X" in said


def test_options_are_typed_and_a_misspelt_one_names_the_nearest():
    three = ["stub", "kosmos2", "grounding_dino"]
    given = read_options(three, ["word=a=b", "loud=true", "kosmos2.num_beams=3", "box_threshold=1"])
    assert given["stub"] == StubOptions(word="a=b", loud=True) and given["kosmos2"].num_beams == 3
    assert type(given["grounding_dino"].box_threshold) is float
    for text, message in (
        ("num_beam=3", "unknown option 'num_beam'.*did you mean 'num_beams'"),
        ("kosmos2.word=3", "unknown option 'kosmos2.word'"),
        ("times=x", "option times must be of type int, got 'x'"),
        ("loud=maybe", "option loud must be true or false"),
        ("word", "options are KEY=VALUE"),
    ):
        with pytest.raises(ValueError, match=message):
            read_options(three, [text])
    with pytest.raises(ValueError, match="write blip.num_beams= or kosmos2.num_beams="):
        read_options(["blip", "kosmos2"], ["num_beams=3"])


def test_of_an_option_given_twice_the_last_counts():
    assert read_options(["stub"], ["word=a", "stub.word=", "word=b"])["stub"].word == "b"
    assert read_options(["stub"], ["word=a", "word="])["stub"].word == ""


def test_names_and_weights_are_checked(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'kosmos2'"):
        read_names("kosmos")
    assert read_weights(["stub", "blip"], str(tmp_path)) == {"stub": None, "blip": tmp_path}
    for text in (None, f"{tmp_path},{tmp_path}"):
        with pytest.raises(ValueError, match="--weights must give a folder for each of blip"):
            read_weights(["blip"], text)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        read_weights(["blip"], str(tmp_path / "none"))


@pytest.mark.parametrize(
    "wrong",
    [dict(batch_size=0), dict(dtype="int8"), dict(min_agreement=2.0), dict(limit=0), dict(devices=0)],
)
def test_settings_without_a_meaning_are_refused(folder, wrong):
    with pytest.raises(ValueError, match=f"--{[*wrong][0].replace('_', '-')} must be"):
        job(folder, **wrong).check()


def test_agreement_wants_region_maps(folder):
    with pytest.raises(ValueError, match="has no regions.yaml"):
        job(folder, min_agreement=0.5).check()
