"""The left of the demo's page: painter, files in and out, templates."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
import numpy as np

from demo.map_over_photo import painted_ids
from demo.page_photo import shown_value
from demo.photo import CANVAS, palette_png
from demo.plain import plain
from pictures.painted_maps import EMPTY, read_map

MEANINGS = dict(
    top="shirts, jackets", bottom="trousers, skirts", whole="dresses, coats", head="hats, glasses"
)
CLICK = "() => document.querySelector('#{0} a, a#{0}, button#{0}').click()"
SIZE = 36  # of the brush at first
PRIVATE = dict(api_visibility="private", show_progress="hidden")


@dataclass
class MapPanel:
    """The components that other parts of the page read or fill."""

    editor: gr.ImageEditor
    upload: gr.UploadButton
    save: gr.Button
    templates: gr.Gallery
    pick: Callable  # (template, prompt) -> (its map, the new prompt)


def map_panel(demo, templates) -> MapPanel:
    """The painter below its brushes, above files and templates."""
    encoder = demo.encoder
    choices = [(encoder.names[region], region) for region in brush_order(encoder)]
    info = " · ".join(f"{name}: {MEANINGS[name]}" for name in encoder.names if name in MEANINGS)
    brushes = gr.Radio(choices, value=1, label="Brush", info=info, elem_id="brush")
    size = gr.Slider(1, 100, SIZE, step=1, precision=0, label="Brush size", elem_id="brush_size")
    editor = gr.ImageEditor(
        shown_value(encoder, blank(), None, False),
        label="Region map",
        elem_id="painter",
        sources=(),
        transforms=(),
        buttons=[],
        format="png",
        layers=False,
        height=540,
        brush=brush(encoder, 1, SIZE),
        canvas_size=(CANVAS, CANVAS),
    )
    with gr.Row():
        upload = gr.UploadButton("Upload a map", file_types=["image"], size="sm", elem_id="upload")
        save = gr.Button("Save the map", size="sm", elem_id="save_map")
    gallery = gr.Gallery(
        [(encoder.to_rgb(ids), caption) for ids, caption, _ in templates],
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
    gr.on(
        [brushes.change, size.change],
        lambda region, size: gr.ImageEditor(brush=brush(encoder, region, size)),
        [brushes, size],
        editor,
        trigger_mode="always_last",
        **PRIVATE,
    )
    return MapPanel(editor, upload, save, gallery, template_picker(templates))


def brush_order(encoder) -> list[int]:
    """Region ids in the order of the brushes: the background last."""
    return [*range(1, len(encoder.names)), 0]


def brush(encoder, region, size):
    colour = "#{:02x}{:02x}{:02x}".format(*encoder.colours[region])
    return gr.Brush(colors=[colour], default_color=colour, color_mode="fixed", default_size=size)


def blank():
    """A map uint8 (h, w) of background."""
    return np.zeros((CANVAS, CANVAS), np.uint8)


def filled(ids):
    """The map itself; ValueError for one that has background alone."""
    if not ids.any():
        raise ValueError(EMPTY)
    return ids


def to_map_file(value, encoder) -> bytes:
    """An image editor's value as a palette PNG."""
    return palette_png(filled(painted_ids(value, encoder)), encoder)


def template_picker(templates):
    """What a click on a template gives: its map, and its caption for a prompt that nobody wrote."""
    captions = {caption for _, caption, is_prompt in templates if is_prompt}

    def pick(index, prompt):
        ids, caption, is_prompt = templates[index]
        untouched = not prompt or prompt in captions
        new_prompt = caption if is_prompt and untouched else prompt
        return ids, new_prompt

    return pick


def connect_map(sessions, models, panel: MapPanel, photo, prompt):
    """What sets the painter's map, with or without the photo under it, and what saves it."""
    encoder, seen = models.encoder, [photo.inputs[0], photo.show]

    def uploaded(path, *seen):
        return shown_value(encoder, filled(read_map(path, encoder)), *seen)

    def cleared(*seen):
        return shown_value(encoder, blank(), *seen)

    def picked(event: gr.SelectData, text, *seen):
        ids, text = panel.pick(event.index, text)
        return shown_value(encoder, ids, *seen), text, gr.Gallery(selected_index=None)

    def save(request: gr.Request, value):
        content = to_map_file(value, encoder)
        return str(sessions.of(request.session_hash).write("map", ".png", content))

    editor = panel.editor
    panel.upload.upload(plain(uploaded), [panel.upload, *seen], editor, **PRIVATE)
    editor.clear(plain(cleared), seen, editor, **PRIVATE)
    results = [editor, prompt, panel.templates]
    panel.templates.select(plain(picked), [prompt, *seen], results, **PRIVATE)
    saved = gr.DownloadButton("Map", visible="hidden", elem_id="map_file")
    panel.save.click(plain(save), editor, saved, api_name="save_map", show_progress="hidden")
    saved.change(None, None, None, js=CLICK.format("map_file"))
