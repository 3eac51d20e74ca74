"""The left of the demo's page: templates, painter, files in and out."""

import json
from dataclasses import dataclass

import gradio as gr
import numpy as np

from demo.errors import show_errors
from demo.garments.canvas import CANVAS, palette_png
from demo.garments.map_over_photo import read_painted_ids
from demo.garments.offers import Template
from demo.garments.page_photo import background_value
from demo.history import CLICK, PRIVATE
from pictures.painted_maps import EMPTY, read_map

MEANINGS = dict(
    top="shirts, jackets", bottom="trousers, skirts", whole="dresses, coats", head="hats, glasses"
)
# a value that is on its way from the server would wipe out what is painted meanwhile
WAIT = "(...values) => { document.querySelector('#painter').classList.add('waiting'); return values; }"
# half a second later, as the picture of the value is fetched and drawn then
GO_ON = "() => setTimeout(() => document.querySelector('#painter').classList.remove('waiting'), 500)"
# the colours of the regions are in the page, so that none is painted with before the server has answered
SET_BRUSH = """(region, size) => {{
    const colour = {colours}[region];
    const brush = {{default_size: size, colors: [colour], default_color: colour, color_mode: "fixed"}};
    return {{__type__: "update", brush}};
}}"""
SIZE = 36  # of the brush at first


@dataclass
class MapPanel:
    """The components that other parts of the page read or fill."""

    editor: gr.ImageEditor
    upload: gr.UploadButton
    save: gr.Button
    gallery: gr.Gallery


def map_panel(demo, templates: list[Template]) -> MapPanel:
    """The painter, with a template on it, below the templates and its brushes, above files."""
    encoder = demo.encoder
    gallery = gr.Gallery(
        [(encoder.to_rgb(template.ids), template.name) for template in templates],
        label="Templates: click one to paint on it",
        visible=bool(templates),
        format="png",
        columns=8,
        height="auto",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="templates",
    )
    choices = [(encoder.names[region], region) for region in brush_order(encoder)]
    info = " · ".join(f"{name}: {MEANINGS[name]}" for name in encoder.names if name in MEANINGS)
    brushes = gr.Radio(choices, value=1, label="Brush", info=info, elem_id="brush")
    editor = gr.ImageEditor(
        background_value(encoder, first_template(templates).ids, None, False),
        label="Region map",
        elem_id="painter",
        sources=(),
        transforms=(),
        buttons=[],
        format="png",
        layers=False,
        height=460,
        brush=gr.Brush(
            colors=[css_colour(encoder, 1)],
            default_color=css_colour(encoder, 1),
            color_mode="fixed",
            default_size=SIZE,
        ),
        canvas_size=(CANVAS, CANVAS),
    )
    size = gr.Slider(1, 100, SIZE, step=1, precision=0, label="Brush size", elem_id="brush_size")
    with gr.Row():
        upload = gr.UploadButton("Upload a map", file_types=["image"], size="sm", elem_id="upload")
        save = gr.Button("Save the map", size="sm", elem_id="save_map")
    colours = {region: css_colour(encoder, region) for _, region in choices}
    script = SET_BRUSH.format(colours=json.dumps(colours))
    gr.on([brushes.change, size.change], None, [brushes, size], editor, js=script, **PRIVATE)
    return MapPanel(editor, upload, save, gallery)


def first_template(templates: list[Template]) -> Template:
    """What the page opens with: the first template with a prompt, else the first; of none, an empty map."""
    first = templates[0] if templates else Template(ids=blank_map(), name="")
    return next((template for template in templates if template.prompt), first)


def brush_order(encoder) -> list[int]:
    """Region ids in the order of the brushes: the background last."""
    return [*range(1, len(encoder.names)), 0]


def css_colour(encoder, region: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*encoder.colours[region])


def blank_map():
    """A map uint8 (h, w) of background."""
    return np.zeros((CANVAS, CANVAS), np.uint8)


def check_regions(ids):
    """The map itself; ValueError for one that has background alone."""
    if not ids.any():
        raise ValueError(EMPTY)
    return ids


def to_map_file(value, encoder) -> bytes:
    """An image editor's value as a palette PNG."""
    return palette_png(check_regions(read_painted_ids(value, encoder)), encoder)


def pick_template(templates: list[Template], index: int, prompt: str | None):
    """(map uint8 (h, w), prompt) after a click on a template, whose prompt replaces none that was written."""
    template = templates[index]
    is_written = prompt and prompt not in {other.prompt for other in templates}
    return template.ids, prompt if is_written or template.prompt is None else template.prompt


def change_map(trigger, function, inputs: list, outputs) -> None:
    """Let a trigger set the painter's value, in which nobody paints until it is there."""
    waits = trigger(function, inputs, outputs, js=WAIT, **PRIVATE)
    waits.then(None, None, None, js=GO_ON, **PRIVATE)


def connect_map(sessions, models, templates: list[Template], panel: MapPanel, photo, prompt):
    """What sets the painter's map, with or without the photo under it, and what saves it."""
    encoder, seen = models.encoder, [photo.inputs[0], photo.show]

    def read_upload(path, *seen):
        return background_value(encoder, check_regions(read_map(path, encoder)), *seen)

    def clear(*seen):
        return background_value(encoder, blank_map(), *seen)

    def pick(event: gr.SelectData, text, *seen):
        ids, text = pick_template(templates, event.index, text)
        return background_value(encoder, ids, *seen), text, gr.Gallery(selected_index=None)

    def save(request: gr.Request, value):
        content = to_map_file(value, encoder)
        return str(sessions.of(request.session_hash).write("map", ".png", content))

    editor = panel.editor
    change_map(panel.upload.upload, show_errors(read_upload), [panel.upload, *seen], editor)
    change_map(editor.clear, show_errors(clear), seen, editor)
    change_map(panel.gallery.select, show_errors(pick), [prompt, *seen], [editor, prompt, panel.gallery])
    saved = gr.DownloadButton("Map", visible="hidden", elem_id="map_file")
    panel.save.click(show_errors(save), editor, saved, api_name="save_map", show_progress="hidden")
    saved.change(None, None, None, js=CLICK.format("map_file"))
