"""The left of the demo's page: painter, files in and out, templates, and the photo behind a map."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
import numpy as np

from cldm.demo.photo import read_photo
from cldm.demo.pixels import palette_png
from cldm.demo.plain import plain
from cldm.demo.request import NO, REPAINT, START
from cldm.painting import EMPTY, painted_map, read_map, resized, working_size

CANVAS = 512  # short side of the painter
MEANINGS = dict(
    top="shirts, jackets", bottom="trousers, skirts", whole="dresses, coats", head="hats, glasses"
)
PRIVATE = dict(api_visibility="private", show_progress="hidden")


@dataclass
class MapPanel:
    """The components that other parts of the page read or fill."""

    editor: gr.ImageEditor
    save: gr.Button
    templates: gr.Gallery
    pick: Callable  # (template, prompt) -> values of editor, prompt and templates


def map_panel(demo, templates) -> MapPanel:
    """The painter below its brushes, above files and templates."""
    encoder = demo.encoder
    choices = [(encoder.names[region], region) for region in brush_order(encoder)]
    info = " · ".join(f"{name}: {MEANINGS[name]}" for name in encoder.names if name in MEANINGS)
    brushes = gr.Radio(choices, value=1, label="Brush", info=info, elem_id="brush")
    blank = editor_value(encoder, np.zeros((CANVAS, CANVAS), np.uint8))
    editor = gr.ImageEditor(
        blank,
        label="Region map",
        elem_id="painter",
        sources=(),
        transforms=(),
        buttons=[],
        format="png",
        layers=False,
        height=540,
        brush=brush(encoder, 1),
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

    def uploaded(path):
        return editor_value(encoder, filled(read_map(path, encoder)))

    brushes.change(lambda region: gr.ImageEditor(brush=brush(encoder, region)), brushes, editor, **PRIVATE)
    editor.clear(lambda: blank, None, editor, **PRIVATE)
    upload.upload(plain(uploaded), upload, editor, **PRIVATE)
    return MapPanel(editor, save, gallery, template_picker(encoder, templates))


def brush_order(encoder) -> list[int]:
    """Region ids in the order of the brushes: the background last."""
    return [*range(1, len(encoder.names)), 0]


def brush(encoder, region):
    colour = "#{:02x}{:02x}{:02x}".format(*encoder.colours[region])
    return gr.Brush(colors=[colour], default_color=colour, color_mode="fixed", default_size=36)


def editor_value(encoder, ids):
    """Region ids uint8 (h, w) as the background of an image editor, its short side CANVAS pixels."""
    working_size(ids.shape, CANVAS)  # says so if one side is far longer than the other
    scale = CANVAS / min(ids.shape)
    size = tuple(round(side * scale) for side in ids.shape)
    return dict(background=encoder.to_rgb(resized(ids, size)), layers=[], composite=None)


def filled(ids):
    """The map itself; ValueError for one that has background alone."""
    if not ids.any():
        raise ValueError(EMPTY)
    return ids


def to_map_file(value, encoder) -> bytes:
    """An image editor's value as a palette PNG."""
    return palette_png(filled(painted_map(value, encoder)), encoder)


def template_picker(encoder, templates):
    """What a click on a template does: map into the painter, caption into a prompt that nobody wrote."""
    captions = {caption for _, caption, is_prompt in templates if is_prompt}

    def pick(index, prompt):
        ids, caption, is_prompt = templates[index]
        untouched = not prompt or prompt in captions
        new_prompt = caption if is_prompt and untouched else prompt
        return editor_value(encoder, ids), new_prompt, gr.Gallery(selected_index=None)

    return pick


@dataclass
class PhotoPanel:
    inputs: list  # photo first, in the order of cldm.demo.request.Inputs
    find: gr.Button | None  # None where there is no segmenter


def photo_panel(demo) -> PhotoPanel:
    """A photo to take the map from, and to start from."""
    with gr.Accordion("Photo", open=False, elem_id="photo_panel"):
        photo = gr.Image(
            label="Photo",
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=260,
            elem_id="photo",
            buttons=[],
        )
        find = None
        if demo.segment:
            find = gr.Button("Find the garments in the photo", size="sm", elem_id="find")
        use = gr.Radio([NO, START, REPAINT], value=NO, label="Use the photo", elem_id="photo_use")
        with gr.Row():
            info = "1 keeps nothing of the photo"
            denoise = gr.Slider(0.05, 1, 0.75, step=0.05, label="Change", info=info, elem_id="denoise")
            names = list(demo.encoder.names)
            repaint = gr.CheckboxGroup(names, value=[], label="Regions to repaint", elem_id="repaint")
        with gr.Row():
            info = "pixels around the regions"
            grow = gr.Slider(0, 64, 4, step=1, precision=0, label="Grow", info=info, elem_id="grow")
            info = "pixels over which it fades"
            feather = gr.Slider(0, 64, 4, step=1, precision=0, label="Soften", info=info, elem_id="feather")
    return PhotoPanel([photo, use, denoise, repaint, grow, feather], find)


def map_finder(models):
    """A photo's file -> the map of its garments, for the editor."""

    def find_garments(photo):
        if photo is None:
            raise ValueError("There is no photo: add one, then let its garments be found.")
        ids = models.segment(read_photo(photo)[None])[0]
        if not ids.any():
            raise ValueError("No garment was found in the photo: paint the map, or take another photo.")
        return editor_value(models.encoder, ids)

    return find_garments
