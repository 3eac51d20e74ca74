"""A stranger's picture is read by Pillow alone, on both pages: an EPS is handed to no other program."""

from contextlib import suppress

import pytest
from PIL import EpsImagePlugin, Image

from demo import annotators_page
from demo.garments.loading import Models
from demo.garments.page import Extras, build_page
from demo_requests import small_demo


def demo_page():
    demo = small_demo()
    return build_page(Models(lambda _: demo, lambda _: (None, None)), Extras([], {}, []))


@pytest.mark.parametrize("build", [demo_page, lambda: annotators_page.build_page({}, [])])
def test_no_ghostscript_is_run_on_a_picture(tmp_path, monkeypatch, build):
    program, called = tmp_path / "gs", tmp_path / "called"
    program.write_text(f"#!/bin/sh\ntouch {called}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for when first needed
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png", "EPS")
    build()
    with suppress(OSError), Image.open(tmp_path / "picture.png") as image:
        image.load()
    assert not called.exists()
