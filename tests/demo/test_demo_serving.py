"""The demo's page stays on this machine unless asked otherwise, and is there whatever the internet does."""

import urllib.request

import gradio as gr
import pytest
from gradio import networking

from demo.serve import serve

ADDRESS = "http://made-up-name.gradio.live"
GET = networking.httpx.get


@pytest.fixture
def served(monkeypatch):
    """Calls `serve` with options; gives the page's own answer, as it was once it waited for visitors."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")

    def call(**options):
        with gr.Blocks(analytics_enabled=False) as page:
            gr.Markdown("hello")
        answers = []
        page.block_thread = lambda: answers.append(urllib.request.urlopen(page.local_url).status)
        serve(page, "", **options)
        page.close(verbose=False)
        return answers

    return call


def no_internet(url, **options):
    """As httpx's on a machine that reaches itself alone."""
    if "127.0.0.1" not in url:
        raise networking.httpx.ConnectError("Name or service not known")
    return GET(url, **options)


def test_without_internet_share_says_so_in_a_line_and_the_local_page_is_served(served, monkeypatch, capsys):
    monkeypatch.setattr(networking.httpx, "get", no_internet)
    assert served(share=True) == [200]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("Open http://127.0.0.1:")
    assert lines[1].startswith("No public address: gradio's servers gave none (Name or service")


def test_a_public_address_is_named_behind_the_local_one(served, monkeypatch, capsys):
    monkeypatch.setattr(networking, "setup_tunnel", lambda *_: ADDRESS)
    assert served(share=True) == [200]
    assert capsys.readouterr().out.splitlines()[1] == "Public address: https://made-up-name.gradio.live"


def test_nobody_is_asked_for_an_address_unless_told(served, monkeypatch, capsys):
    monkeypatch.setattr(networking, "setup_tunnel", lambda *_: pytest.fail("asked for a public address"))
    assert served() == [200]
    assert "ublic" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [dict(queue=0), dict(host="203.0.113.9"), dict(port=70000)])
def test_a_place_that_cannot_be_served_is_named(served, options):
    with pytest.raises(ValueError, match="--queue must be|is taken or cannot be used"):
        served(**options)
