"""A page's script in a process of its own; the demo's serves a model of a few layers."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from demo_requests import REGIONS, top_and_bottom
from ldm.checkpoint import write_state_dict
from small import small_config, small_model

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update"
)
# put before the script's own imports: writes down every name that the server looks up
SPY = """
import socket
original = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    with open({log!r}, "a") as log:
        print(host, file=log)
    return original(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


@dataclass
class Served:
    url: str
    folder: Path  # what the server writes lies here

    def looked_up(self) -> set[str]:
        return set((self.folder / "lookups.txt").read_text().split())

    def output(self) -> str:
        return (self.folder / "output.txt").read_text()


@contextmanager
def serving_script(folder: Path, script, *arguments, imports=""):
    """Served: a page's script with arguments, once it is open; `imports` is run before it."""
    (folder / "lookups.txt").touch()
    spy = SPY.format(log=str(folder / "lookups.txt"))
    (folder / "sitecustomize.py").write_text(f"{imports}\n{spy}")
    (folder / "sessions").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = list(map(str, [sys.executable, script, "--port", port, *arguments]))
    paths = os.pathsep.join(map(str, [folder, ROOT / "tests" / "helpers", ROOT]))
    # a proxy that nobody answers on, as behind many a company's wall
    environment = os.environ | dict(PYTHONPATH=paths, http_proxy="http://127.0.0.1:9")
    environment |= dict(GRADIO_TEMP_DIR=str(folder / "uploads"), TMPDIR=str(folder / "sessions"))
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    served = Served(f"http://127.0.0.1:{port}", folder)
    try:
        wait_for(lambda: process.poll() is not None or "Open http" in served.output())
        assert process.poll() is None, served.output()
        yield served
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving(folder: Path):
    """Served: two models to choose from and one of other regions, a further control, templates."""
    _write_inputs(folder)
    arguments = ["--device", "cpu", "--config", folder / "small.yaml", "--templates", folder / "templates"]
    arguments += ["--control", folder / "full.safetensors", "--models", folder / "models"]
    arguments += ["--control", f"{folder / 'pose.safetensors'}:0.5"]
    # yamls may then name the prompt encoder of tests
    with serving_script(folder, "gradio_seg2image.py", *arguments, imports="import small") as served:
        yield served


def _write_inputs(folder):
    for name in ("models", "templates"):
        (folder / name).mkdir()
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    state = small_model(zeros=False).state_dict()
    write_state_dict(state, folder / "full.safetensors")
    control = {k: v for k, v in state.items() if k.startswith("control_model.")}
    write_state_dict({k: 1.1 * v for k, v in control.items()}, folder / "pose.safetensors")
    louder = {k: 1.5 * v if k.startswith("control_model.") else v for k, v in state.items()}
    write_state_dict(louder, folder / "models" / "louder.safetensors")
    hint = dict(names=["nothing", "cloth"], colours=[[9, 9, 9], [1, 2, 3]])
    write_state_dict(state, folder / "models" / "other.safetensors", dict(hint=hint))
    Image.fromarray(REGIONS.to_rgb(top_and_bottom())).save(folder / "templates" / "my_suit.png")
    Image.fromarray(np.full((64, 64, 3), 77, np.uint8)).save(folder / "templates" / "bad.png")


def wait_for(condition, seconds=900):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def connected(url):
    from gradio_client import Client

    # its own patience is five seconds, too little on a machine that is busy with other tests
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=dict(timeout=900))


def answer(url, endpoint, data):
    """What the server says to a request that no client has prepared, as text."""
    body = json.dumps(dict(data=data)).encode()
    request = Request(f"{url}/gradio_api/call/{endpoint}", body, {"Content-Type": "application/json"})
    with urlopen(request) as accepted:
        event = json.loads(accepted.read())["event_id"]
    with urlopen(f"{url}/gradio_api/call/{endpoint}/{event}") as stream:
        return stream.read().decode()


class Files:
    """Values of image inputs, each a file written into a folder."""

    def __init__(self, folder: Path):
        self.folder, self.num = folder, 0

    def file(self, picture, suffix=".png", **options):
        """A picture, or bytes, as a client uploads it."""
        from gradio_client import handle_file

        self.num += 1
        path = self.folder / f"{self.num}{suffix}"
        picture.save(path, **options) if isinstance(picture, Image.Image) else path.write_bytes(picture)
        return handle_file(str(path))

    def editor(self, picture=None, *arguments, **options):
        """An image editor's value with a picture as background; without one, a map."""
        picture = Image.fromarray(REGIONS.to_rgb(top_and_bottom())) if picture is None else picture
        return dict(background=self.file(picture, *arguments, **options), layers=[], composite=None)


def refused(client, message, **values):
    """The error that a client meets; it must say `message`, and nothing of the server's folders."""
    with pytest.raises(Exception, match=message) as caught:
        client.predict(**values)
    said = str(caught.value)
    assert "site-packages" not in said and "/uploads/" not in said
    assert "garment_uploads" not in said and str(ROOT) not in said and "Traceback" not in said
