"""What gradio would do for any stranger who asks, and this server does not.

It fetches no address that a client names, decodes no painting before its size is known, keeps no bytes in
memory that nobody asks for again, and answers no endpoint that the pages don't use.
"""

import re

import gradio as gr
from gradio import processing_utils
from PIL import EpsImagePlugin, Image

from demo.errors import NotUploaded, Refused, guard_errors
from pictures.painted_maps import MAX_SIDE

MAX_LAYERS = 4  # of an image editor's value; the page's painter sends one
MAX_PIXELS = 2 * MAX_SIDE**2  # of a background and its layers together
# endpoints that fetch, proxy, run ffmpeg or show the server's inside
CLOSED = re.compile(
    r"(/gradio_api)?/(process_recording|proxy=|vibe|undo-vibe|dev/|monitoring|runs|run-history|profiling|"
    r"stream/|custom_component|deep_link)"
)
FROM_ADDRESS = re.compile(r"/gradio_api/file=\s*https?:", re.IGNORECASE)


def guard_gradio() -> None:
    """To be called before a page is built; calling it again changes nothing."""
    EpsImagePlugin.gs_binary = False  # Pillow would run Ghostscript on a stranger's file, whatever its name
    processing_utils.async_ssrf_protected_get = refuse_address
    gr.ImageEditor.accept_blobs._is_server_fn = False
    if not getattr(gr.ImageEditor.preprocess, "checks_sizes", False):
        gr.ImageEditor.preprocess = check_before(gr.ImageEditor.preprocess)
    guard_errors()


async def refuse_address(url: str):
    """In place of gradio's download of a file that a client names by its address."""
    raise NotUploaded(url)


def check_before(preprocess):
    """An image editor's `preprocess` that reads sizes from headers first, and never the composite."""

    def read(self, payload):
        if payload is None:
            return None
        if payload.id is not None:
            raise Refused(f"{self.label}: send its background and layers as uploaded files.")
        check_sizes(self.label, [file.path for file in (payload.background, *payload.layers) if file])
        return preprocess(self, payload.model_copy(update=dict(composite=None)))

    read.checks_sizes = True
    return read


def check_sizes(label: str, paths: list) -> None:
    """Refused if the pictures of an image editor are too many or too large to be decoded together."""
    if len(paths) > 1 + MAX_LAYERS:
        raise Refused(f"{label}: it has {len(paths) - 1} layers, at most {MAX_LAYERS} are read.")
    pixels = 0
    for path in paths:
        with Image.open(path) as image:  # reads the header alone
            width, height = image.size
        if max(width, height) > MAX_SIDE:
            raise Refused(
                f"{label}: the picture is {width} x {height} pixels: sides of at most {MAX_SIDE} are read."
            )
        pixels += width * height
    if pixels > MAX_PIXELS:
        raise Refused(
            f"{label}: its background and layers have {pixels} pixels together, of at most {MAX_PIXELS}."
        )


class ClosedEndpoints:
    """An ASGI application before gradio's own, which answers 404 where the pages need nothing."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] == "http" and (CLOSED.match(path) or FROM_ADDRESS.match(path)):
            await send(dict(type="http.response.start", status=404, headers=[(b"content-length", b"0")]))
            await send(dict(type="http.response.body", body=b""))
            return
        await self.app(scope, receive, send)
