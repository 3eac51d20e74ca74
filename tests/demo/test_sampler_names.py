"""A sampler is added as one row: settings take it, pictures name it, and the page reads it back."""

import pytest

from demo.garments.infotext import parse_parameters
from generation.generate import Settings
from generation.picture_text import parameters
from ldm.models.diffusion import samplers
from ldm.models.diffusion.samplers import SAMPLERS, Sampler, ddim
from sources import ROOT

FACTS = dict(steps=3, scale=3.0, seed=1, size=(64, 64), model="a.ckpt", photo=None, controls=[])
FACTS |= dict(prompt="a coat", negative_prompt="")


@pytest.fixture
def heun(monkeypatch):
    monkeypatch.setitem(samplers.SAMPLERS, "heun", Sampler(ddim, "Heun"))


@pytest.mark.parametrize("name", [*SAMPLERS, "heun"])
def test_what_a_picture_was_drawn_with_is_written_down_and_read_back(heun, name):
    assert Settings(sampler=name).sampler == name
    text = parameters(FACTS | dict(sampler=name))
    assert f"Sampler: {SAMPLERS[name].title}," in text
    assert "sampler" in str(parse_parameters(text)) and name in str(parse_parameters(text))


def test_titles_are_all_different_and_the_help_of_the_scripts_names_every_sampler():
    assert len({sampler.title.lower() for sampler in SAMPLERS.values()}) == len(SAMPLERS)
    for told in ("jobs/command_line.py", "docs/command_line.md"):
        text = (ROOT / told).read_text(encoding="utf-8")
        assert all(name in text for name in SAMPLERS), told
