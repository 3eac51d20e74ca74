"""The photo on the demo's page: a map is taken from it or painted over it, and pictures start from it."""

from dataclasses import dataclass

import gradio as gr
import numpy as np

from demo.garments.canvas import CANVAS, scale_to_canvas
from demo.garments.map_over_photo import blend_over_photo, read_painted_ids
from demo.garments.page_request import NO, REPAINT, START
from demo.photo import read_photo


@dataclass
class PhotoPanel:
    inputs: list  # photo first, in the order of demo.garments.page_request.Inputs
    find: gr.Button | None  # None where there is no segmenter
    show: gr.Checkbox  # whether the photo is seen under the map


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
        info = "in grey, tinted where there is a region; the map stays the same"
        show = gr.Checkbox(False, label="Show the photo under the map", info=info, elem_id="show_photo")
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
    return PhotoPanel([photo, use, denoise, repaint, grow, feather], find, show)


def make_find_garments(models):
    """A photo's file, and whether it is to be seen under its map -> that map, for the editor."""

    def find_garments(photo, show=False):
        if photo is None:
            raise ValueError("There is no photo: add one, then let its garments be found.")
        ids = models.segment(read_photo(photo)[None])[0]
        if not ids.any():
            raise ValueError("No garment was found in the photo: paint the map, or take another photo.")
        return background_value(models.encoder, ids, photo, show)

    return find_garments


def make_show_photo(encoder):
    """An editor's value, the photo's file and whether it is to be seen -> the value with or without it."""

    def show_photo(value, photo, show):
        return background_value(encoder, read_painted_ids(value, encoder), photo, show)

    return show_photo


def background_value(encoder, ids, photo, show, longest_short_side=CANVAS):
    """A map uint8 (h, w) as an image editor's value: plain, or over the photo's file if it is to be seen.

    An empty map takes the photo's shape. Where the photo cannot be shown, a notice says why.
    """
    background = encoder.to_rgb(scale_to_canvas(ids, longest_short_side))
    if show and photo is None:
        gr.Info("There is no photo yet. Add one under Photo, and it is shown under the map.")
    elif show:
        try:
            pixels = read_photo(photo)
            ids = ids if ids.any() else np.zeros(pixels.shape[:2], np.uint8)
            background = blend_over_photo(scale_to_canvas(ids, longest_short_side), pixels, encoder)
        except ValueError as error:
            gr.Info(f"The photo is not shown under the map. {error}")
    return dict(background=background, layers=[], composite=None)
