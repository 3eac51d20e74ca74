"""Strangers get no more of the server than the page needs: no memory, no look-ups, no paths, no leftovers."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio import processing_utils, utils
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData
from gradio.exceptions import InvalidPathError
from PIL import Image, ImageFile

from demo import errors
from demo.errors import NOT_UPLOADED, UNKNOWN, Refused, as_refused, hide_paths, show_errors, tell_error
from demo.guards import MAX_LAYERS, ClosedEndpoints, guard_gradio
from pictures.painted_maps import read_map

ROOT = Path(__file__).parents[2]
# starts as the pages' scripts do, and says where it keeps files
SCRIPT = """
import os, pathlib, time
from demo.session import Sessions
from demo.start import prepare_server
from jobs.command_line import entry_point

@entry_point("stopped")
def main():
    prepare_server()
    sessions = Sessions()
    file = sessions.of("a").write("a", ".png", b"a")
    upload = pathlib.Path(os.environ["GRADIO_TEMP_DIR"], "b.png")
    upload.write_bytes(b"b")
    print(file, upload, sep=chr(10), flush=True)
    time.sleep(900)

main()
"""


@pytest.fixture
def editor():
    guard_gradio()
    with gr.Blocks(analytics_enabled=False):
        return gr.ImageEditor(label="Region map")


@pytest.fixture
def value(tmp_path):
    """An image editor's value as a client sends it, of files of the given sizes, the background first."""

    def write(*sizes, composite=(8, 8)):
        files = []
        for i, size in enumerate([*sizes, composite]):
            path = tmp_path / f"{i}.png"
            Image.new("1", size).save(path)
            files.append(FileData(path=str(path)))
        background, *layers, composite = files
        return EditorData(background=background, layers=layers, composite=composite)

    return write


def decoded(monkeypatch):
    """The sizes of pictures that are decoded from here on."""
    sizes, load = [], ImageFile.ImageFile.load

    def note(image):
        sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", note)
    return sizes


@pytest.mark.parametrize(
    "sizes, message",
    [
        ([(8000, 8000), (8000, 8000)], "8000 x 8000 pixels: sides of at most 4096"),
        ([(64, 64), (8000, 8000)], "8000 x 8000 pixels: sides of at most 4096"),
        ([(4096, 4096)] * 3, "50331648 pixels together, of at most 33554432"),
        ([(64, 64)] * (MAX_LAYERS + 2), "it has 5 layers, at most 4 are read"),
    ],
)
def test_a_painting_that_takes_much_memory_is_refused_before_it_is_decoded(
    editor, value, monkeypatch, sizes, message
):
    given, seen = value(*sizes), decoded(monkeypatch)
    with pytest.raises(Refused, match=message):
        editor.preprocess(given)
    assert seen == []


def test_of_a_painting_the_composite_is_never_read(editor, value):
    read = editor.preprocess(value((64, 64), (64, 64), composite=(8000, 8000)))
    assert read["composite"] is None and len(read["layers"]) == 1 and read["background"].shape == (64, 64, 4)


def test_bytes_in_memory_are_neither_taken_nor_asked_for(editor, value):
    assert not editor.accept_blobs._is_server_fn
    given = value((64, 64)).model_copy(update=dict(id="a"))
    with pytest.raises(Refused, match="send its background and layers as uploaded files"):
        editor.preprocess(given)


def test_no_address_that_a_client_names_is_fetched(monkeypatch):
    guard_gradio()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("looked up a name"))
    with pytest.raises(errors.NotUploaded) as caught:
        asyncio.run(processing_utils.async_ssrf_protected_download("http://made-up.example/a.png", "."))
    assert tell_error(caught.value, True)["error"] == NOT_UPLOADED


@pytest.mark.parametrize(
    "path", ["process_recording", "proxy=http://a.example/", "vibe-edit", "file=http://a.example/b.png"]
)
def test_endpoints_that_the_page_does_not_use_are_closed(path):
    async def gradio(scope, receive, send):
        reached.append(scope["path"])

    async def send(message):
        answered.append(message)

    reached, answered = [], []
    app = ClosedEndpoints(gradio)
    asyncio.run(app(dict(type="http", path=f"/gradio_api/{path}"), None, send))
    assert reached == [] and answered[0]["status"] == 404
    asyncio.run(app(dict(type="http", path="/gradio_api/upload"), None, send))
    assert reached == ["/gradio_api/upload"]


def test_an_error_of_a_library_is_not_shown_and_one_of_ours_is(tmp_path):
    guard_gradio()
    (tmp_path / "a.png").write_bytes(b"hello")
    for fail in (lambda: np.zeros(3).reshape(2, 2), Path("/etc/nothing/x").read_bytes, lambda: {}["key"]):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            show_errors(fail)()
        assert utils.error_payload(caught.value, True)["error"] == UNKNOWN
    with pytest.raises(Refused, match="The file is no picture that can be read"):
        show_errors(lambda: read_map(tmp_path / "a.png", None))()
    assert tell_error(as_refused(InvalidPathError("Cannot move /srv/app")), True)["error"] == NOT_UPLOADED
    assert tell_error(gr.Error("Cannot move /srv/app"), True)["error"] == UNKNOWN


@pytest.mark.parametrize(
    "text, shown",
    [
        ("/srv/models/a.safetensors is damaged", "a.safetensors is damaged"),
        ("'/srv/my/a.png': it", "'a.png': it"),
        ("\\".join(["C:", "our", "b.ckpt, which"]), "b.ckpt, which"),
        ("and/or, 3/4, http://a.example/b.png", "and/or, 3/4, http://a.example/b.png"),
    ],
)
def test_of_the_servers_files_visitors_read_the_names_alone(text, shown):
    assert hide_paths(text) == shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_visitors_left_goes_when_the_server_is_stopped(tmp_path, number):
    environment = os.environ | dict(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path), GRADIO_TEMP_DIR="")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run under nohup hands an ignored signal down
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    files = [Path(process.stdout.readline().strip()) for _ in range(2)]
    assert all(file.exists() and file.is_relative_to(tmp_path) for file in files)
    process.send_signal(number)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 128 + number and said.split() == ["stopped"]
    assert list(tmp_path.glob("garment*")) == []
