"""What happens on the page when a person or a garment is chosen."""

from typing import NamedTuple

import gradio as gr
import numpy as np

from annotator.agnostic.photos import PersonFinder
from annotator.openpose.pose import draw_joints
from demo.errors import show_errors
from demo.history import PRIVATE
from demo.photo import digest_of, read_photo
from demo.tryon.mask_editor import read_mask_text, show_mask
from demo.tryon.offers import Offer
from demo.tryon.page_inputs import as_shown, clothes_for, people_for
from demo.tryon.request import IN_TURN, LOOKBOOK, PEOPLE, check_category, find_person
from demo.tryon.room import BODY, REPLACED, WORN, Framed
from paperdoll.tryon_folders import colour_labels
from pictures.region_maps import encode_map
from pictures.regions import standard_regions
from preparation.one_photo import encode_picture

# a value that is on its way would wipe out what is painted meanwhile
WAIT = "(...values) => { document.querySelector('#mask').classList.add('waiting'); return values; }"
GO_ON = "() => setTimeout(() => document.querySelector('#mask').classList.remove('waiting'), 500)"
LATEST = dict(trigger_mode="always_last", **PRIVATE)


class Kept(NamedTuple):
    """A mask, as text, that a picture's settings bring along, for the person of a digest and a category."""

    digest: str
    category: str
    text: str


def connect_choices(desk, person, garment) -> None:
    """A click on a picture chooses it; another category has others to choose from."""
    room = desk.room

    def choose(offers_of):
        def pick(event: gr.SelectData, request: gr.Request, category):
            offer = offers_of(room, category)[event.index]
            return write_offer(desk, request, offer), gr.Gallery(selected_index=None)

        return pick

    def change_category(request: gr.Request, category, photo, cloth):
        people, clothes = people_for(room, category), clothes_for(room, category)
        chosen = offered(photo, room.offers.person), offered(cloth, room.offers.garment)
        photo = (
            gr.skip() if chosen[0] is None or chosen[0] in people else write_offer(desk, request, people[0])
        )
        cloth = (
            gr.skip() if chosen[1] is None or chosen[1] in clothes else write_offer(desk, request, clothes[0])
        )
        return gr.Gallery(as_shown(people)), gr.Gallery(as_shown(clothes)), photo, cloth

    person.gallery.select(choose(people_for), garment.category, [person.photo, person.gallery], **PRIVATE)
    garment.gallery.select(choose(clothes_for), garment.category, [garment.photo, garment.gallery], **PRIVATE)
    inputs = [garment.category, person.photo, garment.photo]
    outputs = [person.gallery, garment.gallery, person.photo, garment.photo]
    garment.category.input(change_category, inputs, outputs, **PRIVATE)


def offered(path, find) -> Offer | None:
    """The offer whose picture a file is."""
    try:
        return path and find(digest_of(read_photo(path)))
    except ValueError:
        return None


def write_offer(desk, request, offer: Offer) -> str:
    """An offer's picture as a file of the visitor's session."""
    session = desk.sessions.of(request.session_hash)
    return str(session.write("chosen", ".png", encode_picture(offer.pixels)))


def connect_person(desk, page, person, garment) -> None:
    """The mask, the pose and the parts of whoever is chosen."""

    def show(request: gr.Request, photo, category, way, kept=None):
        check_category(category)
        if photo is None:
            return None, "Choose a person, or add a photo.", None, None
        session = desk.sessions.of(request.session_hash)
        found = find_person(photo, desk.room, lambda digest: desk.fitted.find(session, digest))
        note, mask = "", None
        try:
            if kept and kept[:2] == (digest_of(read_photo(photo)), category):
                mask = read_mask_text(kept[2], desk.room.size)
            else:
                mask = desk.room.find_mask(found, category, way)
        except ValueError as error:
            note = other_way(desk.room, found, category, way) or str(error)
            if note == FOLLOWED:
                mask = desk.room.find_mask(found, category, WORN)
        return show_mask(found.offer.pixels, mask), note, *show_findings(found)

    def find_mask(request: gr.Request, photo, category="upper", mask_way=BODY):
        """A person's photo -> an image editor's value with the mask, pose and parts as pictures."""
        if photo is None:
            raise ValueError("There is no person yet: choose one, or add a photo.")
        session = desk.sessions.of(request.session_hash)
        check_category(category)
        found = find_person(photo, desk.room, lambda digest: desk.fitted.find(session, digest))
        mask = desk.room.find_mask(found, category, mask_way)
        return show_mask(found.offer.pixels, mask), "", *show_findings(found)

    inputs = [person.photo, garment.category, person.way]
    outputs = [person.mask, person.note, person.pose, person.parts]
    triggers = [page.load, person.photo.change, garment.category.change, person.way.input]
    shown = gr.on(triggers, show_errors(show), [*inputs, person.kept], outputs, js=WAIT, **LATEST)
    shown.then(None, None, None, js=GO_ON, **PRIVATE)
    found = person.again.click(
        show_errors(find_mask), inputs, outputs, js=WAIT, api_name="find_mask", show_progress="hidden"
    )
    found.then(None, None, None, js=GO_ON, **PRIVATE)


FOLLOWED = (
    "The mask follows what is worn, as the pose is not known here: paint further where the new garment is "
    "longer or wider."
)


def other_way(room, person: Framed, category, way) -> str:
    """FOLLOWED where the other way of finding a mask is left, else nothing."""
    try:
        return FOLLOWED if way == BODY and room.find_mask(person, category, WORN).any() else ""
    except ValueError:
        return ""


def show_findings(person: Framed):
    """(pose, parts) as pictures uint8 (H, W, 3), each None where nothing is known."""
    size, pose = person.offer.pixels.shape[:2], None
    if person.pose is not None:
        pose = draw_joints(person.pose.points, *size)
    for name, ids in person.offer.labels.items():
        coloured = standard_regions().to_rgb(ids) if name == "regions" else colour_labels(ids).convert("RGB")
        return pose, np.asarray(coloured)
    return pose, None


def connect_garment(desk, garment, ways) -> None:
    """A photo of somebody in the garment is shown to be painted on; further ones are asked for by the way."""

    def show_worn(photo, worn, category):
        if not worn or photo is None:
            return None
        pixels = read_photo(photo, "garment's picture")
        return show_mask(pixels, find_worn(desk.room.finder, pixels, category))

    way, further, others = ways
    triggers = [garment.worn.change, garment.photo.change]
    inputs = [garment.photo, garment.worn, garment.category]
    gr.on(triggers, show_errors(show_worn), inputs, garment.mask, **LATEST)
    way.change(show_further, way, [further, others], **PRIVATE)


def connect_silhouette(desk, person, silhouette, own) -> None:
    """The map of what the person wears becomes the silhouette that is to be drawn."""

    def take_own(request: gr.Request, photo):
        session = desk.sessions.of(request.session_hash)
        found = find_person(photo, desk.room, lambda digest: desk.fitted.find(session, digest))
        if found.regions is None or not found.regions.any():
            raise ValueError("No garments were found on this person: add a map that was painted.")
        return str(session.write("silhouette", ".png", encode_map(found.regions, standard_regions().colours)))

    own.click(show_errors(take_own), person.photo, silhouette, **PRIVATE)


def show_further(way: str):
    """What the way asks for besides: garments, people or neither."""
    return gr.Dropdown(visible=way in (LOOKBOOK, IN_TURN)), gr.Dropdown(visible=way == PEOPLE)


def find_worn(finder: PersonFinder | None, pixels, category):
    """Where a photo uint8 (h, w, 3) shows a garment of a category, bool (h, w); None where nobody knows."""
    ids = None if finder is None else finder.find_labels(pixels).get("regions")
    if ids is None:
        return None
    mask = np.isin(ids, [standard_regions().names.index(name) for name in REPLACED[category].split(",")])
    return mask if mask.any() else None
