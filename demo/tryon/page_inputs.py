"""The fitting room's inputs, in the order of demo.tryon.request.Inputs."""

import json
from dataclasses import dataclass

import gradio as gr

from demo.history import PRIVATE
from demo.tryon.mask_editor import CANVAS, NEW, STAYS
from demo.tryon.offers import Offer
from demo.tryon.request import MAX_SEED, MOST_PICTURES, ONE, OUTSIDE, WAYS
from demo.tryon.room import BODY, WORN, Room
from ldm.models.diffusion.samplers import SAMPLERS

CATEGORY_NAMES = dict(upper="top", lower="trousers or skirt", dress="dress")
ANEW, STAY = "draw anew", "let stay"
BRUSHES = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in ((ANEW, NEW), (STAY, STAYS))}
SIZE = 48  # of the brush
# the colours are in the page, so that none is painted with before the server has answered
SET_BRUSH = f"""name => {{
    const colour = {json.dumps(BRUSHES)}[name];
    return {{__type__: "update", brush:
        {{default_size: {SIZE}, colors: [colour], default_color: colour, color_mode: "fixed"}}}};
}}"""
WORN_NOTE = (
    "The garment's picture is usually of the garment alone. To take it from a photo of somebody who wears "
    "it, tick the box and paint over the garment."
)


SILHOUETTE_NOTE = (
    "A map says where the garment is, the garment's picture what it looks like. Paint one on the page of "
    "maps, or take that of the person."
)


@dataclass
class PersonPanel:
    photo: gr.Image
    gallery: gr.Gallery
    mask: gr.ImageEditor
    way: gr.Radio
    again: gr.Button
    note: gr.Markdown
    pose: gr.Image
    parts: gr.Image
    kept: gr.State  # a mask that is to be shown with the next person, as demo.tryon.page_person.Kept


@dataclass
class GarmentPanel:
    photo: gr.Image
    gallery: gr.Gallery
    category: gr.Radio
    worn: gr.Checkbox
    mask: gr.ImageEditor


def people_for(room: Room, category: str) -> list[Offer]:
    """Those offered to try on a category: who is in sight from head to foot, for upper garments everybody."""
    whole = [offer for offer in room.offers.people if offer.category != "upper"]
    upper = [offer for offer in room.offers.people if offer.category == "upper"]
    return upper + whole if category == "upper" or not whole else whole


def clothes_for(room: Room, category: str) -> list[Offer]:
    return [offer for offer in room.offers.clothes if offer.category == category]


def offers_gallery(offers: list[Offer], label: str, elem_id: str) -> gr.Gallery:
    return gr.Gallery(
        as_shown(offers),
        label=label,
        show_label=False,
        format="png",
        columns=6,
        height="auto",
        allow_preview=False,
        interactive=False,
        buttons=[],
        object_fit="contain",
        elem_id=elem_id,
        elem_classes="shelf",
    )


def as_shown(offers: list[Offer]) -> list:
    return [(offer.pixels, offer.name) for offer in offers]


def photo_input(offer: Offer | None, label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        None if offer is None else offer.pixels,
        label=label,
        show_label=False,
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "clipboard"],
        height=220,
        buttons=[],
        elem_id=elem_id,
    )


def mask_input(label: str, elem_id: str, height: int) -> gr.ImageEditor:
    """A painter of a mask, below its two brushes."""
    brush = gr.Radio(
        list(BRUSHES), value=ANEW, label="Brush", show_label=False, elem_id=f"{elem_id}_brush",
        elem_classes="brushes",
    )  # fmt: skip
    editor = gr.ImageEditor(
        label=label,
        sources=(),
        transforms=(),
        buttons=[],
        format="png",
        layers=False,
        height=height,
        brush=gr.Brush(
            colors=[BRUSHES[ANEW]], default_color=BRUSHES[ANEW], color_mode="fixed", default_size=SIZE
        ),
        canvas_size=(CANVAS, CANVAS),
        elem_id=elem_id,
        elem_classes="mask",
    )
    brush.change(None, brush, editor, js=SET_BRUSH, **PRIVATE)
    return editor


def person_panel(room: Room) -> PersonPanel:
    """Who tries something on, and what of the photo is to be new."""
    people = people_for(room, room.categories[0])
    gr.Markdown("## 1 · Person", elem_classes="step")
    photo = photo_input(people[0], "Person", "person")
    gallery = offers_gallery(people, "People", "people")
    gr.Markdown(
        "The pink part is drawn anew. Paint to add to it, or to let more of the photo stay.",
        elem_classes="hint",
    )
    # filled once the page is there: for programs that leave it out, its first value would stand for it
    editor = mask_input("What is drawn anew", "mask", 400)
    note = gr.Markdown("", elem_id="mask_note")
    with gr.Row(elem_id="mask_ways"):
        way = gr.Radio([BODY, WORN], value=BODY, label="Find it by itself", elem_id="mask_way", scale=3)
        again = gr.Button("Find it again", size="sm", elem_id="find_mask", scale=1)
    with gr.Accordion("Pose and parts", open=False, elem_id="pose_panel"), gr.Row():
        pose = gr.Image(label="Pose", interactive=False, format="png", buttons=[], elem_id="pose")
        parts = gr.Image(label="Parts", interactive=False, format="png", buttons=[], elem_id="parts")
    return PersonPanel(photo, gallery, editor, way, again, note, pose, parts, gr.State(None))


def garment_panel(room: Room) -> GarmentPanel:
    """What is tried on."""
    first = room.categories[0]
    clothes = clothes_for(room, first)
    gr.Markdown("## 2 · Garment", elem_classes="step")
    photo = photo_input(clothes[0], "Garment", "garment")
    choices = [(CATEGORY_NAMES[name], name) for name in room.categories]
    unlearned = [CATEGORY_NAMES[name] for name in room.categories if name not in room.learned]
    info = f"this model has not learned: {', '.join(unlearned)}" if room.learned and unlearned else None
    category = gr.Radio(choices, value=first, label="It is a", info=info, elem_id="category")
    gallery = offers_gallery(clothes, "Garments", "clothes")
    with gr.Accordion("Somebody wears it", open=False, elem_id="worn_panel"):
        gr.Markdown(WORN_NOTE)
        worn = gr.Checkbox(False, label="Somebody wears the garment", elem_id="worn")
        mask = mask_input("The garment", "worn_mask", 320)
    return GarmentPanel(photo, gallery, category, worn, mask)


def silhouette_inputs(room: Room) -> tuple[list, gr.Button]:
    """A region map that a control follows, where one is loaded, and what takes it from the person."""
    with gr.Accordion("Silhouette", open=False, visible=room.branch is not None, elem_id="silhouette_panel"):
        gr.Markdown(SILHOUETTE_NOTE)
        silhouette = photo_input(None, "Silhouette, a region map", "silhouette")
        own = gr.Button("Take that of the person", size="sm", elem_id="own_silhouette")
        strength = gr.Slider(
            0, 2, 1, step=0.05, label="Strength of the silhouette", elem_id="silhouette_strength"
        )
    return [silhouette, strength], own


def way_inputs(room: Room) -> list:
    """Whether one garment is tried on or several, and which."""
    garments, people = (
        [offer.name for offer in offers] for offers in (room.offers.clothes, room.offers.people)
    )
    with gr.Accordion("Several at once", open=False, elem_id="ways_panel"):
        way = gr.Radio(list(WAYS), value=ONE, label="Try on", elem_id="way")
        several = dict(value=[], multiselect=True, visible=False)
        further = gr.Dropdown(garments, label="Further garments", elem_id="further_garments", **several)
        others = gr.Dropdown(people, label="Further people", elem_id="further_people", **several)
    return [way, further, others]


def option_inputs(room: Room) -> list:
    """Words and numbers."""
    scale = room.guidance_scale
    with gr.Accordion("Options", open=False, elem_id="options"):
        words = gr.Textbox(
            "",
            label="Words (optional)",
            placeholder="such as: a person wears a red top",
            max_lines=3,
            elem_id="prompt",
        )
        with gr.Row():
            amount = [
                slider(1, MOST_PICTURES, 1, 1, "Pictures", "num_samples"),
                slider(1, 100, 20, 1, "Steps", "steps"),
            ]
        with gr.Row():
            guidance = gr.Slider(
                0,
                10,
                1.0 if scale is None else scale,
                step=0.1,
                label="Guidance",
                info="how closely the garment is followed",
                visible=scale is not None,
                elem_id="guidance",
            )
            strength = gr.Slider(
                0.05, 1, 1, step=0.05, label="Strength", info="below 1, some of what is worn stays",
                elem_id="strength",
            )  # fmt: skip
        outside = gr.Radio(
            list(OUTSIDE), value=next(iter(OUTSIDE)), label="Outside the pink part", elem_id="outside"
        )
        with gr.Row():
            sampler = gr.Dropdown(list(SAMPLERS), value="ddim", label="Sampler", elem_id="sampler")
            seed = gr.Number(
                -1, label="Seed (-1: random)", precision=0, minimum=-1, maximum=MAX_SEED, elem_id="seed"
            )
        preview = gr.Checkbox(True, label="Previews", info="takes a little longer", elem_id="preview")
    return [words, *amount, guidance, strength, outside, sampler, seed, preview]


def slider(low, high, value, step, label, elem_id):
    return gr.Slider(low, high, value, step=step, precision=0, label=label, elem_id=elem_id)
