"""Pictures with texts, as the demo and other programs write them, and a page's inputs to check them."""

import json

import gradio as gr
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from demo.garments.loading import Models
from demo.garments.page import select_settings
from demo.garments.page_options import further_inputs, option_inputs, way_inputs
from demo.garments.page_photo import photo_panel
from demo.garments.restoring import restore_settings
from demo.guards import guard_gradio
from demo_requests import drawn
from generation.picture_text import KEY, MAP_KEY, png_with


class Page:
    """A demo's inputs and models, without the page around them."""

    def __init__(self, demo):
        guard_gradio()
        self.demo, self.models = demo, Models(lambda _: demo, lambda _: (None, None))
        with gr.Blocks(analytics_enabled=False):
            words = [gr.ImageEditor(), gr.Textbox(label="Prompt"), *option_inputs(demo)]
            ways = way_inputs(list(self.models.files))
            inputs = [*words, *photo_panel(demo).inputs, *ways, *further_inputs(demo)]
        self.components = select_settings(inputs)

    def restored(self, path, photo=None):
        return restore_settings(path, self.components, self.models, photo)


def draw_one(demo, path, index=0, **changes):
    """Draw a request and write its picture; gives the Drawn."""
    from demo_requests import request

    picture = drawn(demo, **changes)[0][index]
    path.write_bytes(png_with(picture.pixels, picture.facts, request(demo, **changes).map_png))
    return picture


def texts_of(path):
    """(facts, map as base64) of a picture."""
    with Image.open(path) as image:
        return json.loads(image.text[KEY]), image.text.get(MAP_KEY)


def with_texts(path, packed=(), **texts):
    """A small PNG with texts; those named in `packed` are compressed."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text, zip=name in packed)
    Image.new("RGB", (64, 64)).save(path, pnginfo=info)
    return path


def altered(path, change, **texts):
    """A picture anew, after `change(facts)`; of other texts those given."""
    facts, stored = texts_of(path)
    change(facts)
    kept = {KEY: json.dumps(facts)} | ({MAP_KEY: stored} if stored else {}) | texts
    return with_texts(path, **{name: text for name, text in kept.items() if text is not None})
