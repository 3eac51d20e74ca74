"""The fitting room's page: a person on the left, a garment in the middle, the person in it on the right."""

from dataclasses import dataclass, fields
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path

import gradio as gr

from demo.errors import show_errors
from demo.guards import guard_gradio
from demo.history import connect_history, history_panel, make_leave, pictures_gallery
from demo.reports import show_reports
from demo.serve import ONE_AT_A_TIME, page_script
from demo.session import Picture, Sessions
from demo.tryon.drawing import DrawnFitting, draw_fittings
from demo.tryon.fitted import Fitted
from demo.tryon.lookbook import draw_lookbook
from demo.tryon.page_inputs import garment_panel, option_inputs, person_panel, silhouette_inputs, way_inputs
from demo.tryon.page_person import connect_choices, connect_garment, connect_person, connect_silhouette
from demo.tryon.page_result import connect_result, result_panel
from demo.tryon.page_settings import connect_settings, settings_panel
from demo.tryon.request import LOOKBOOK, PEOPLE, Inputs, read_request
from demo.tryon.room import Room
from preparation.one_photo import encode_picture

HERE = Path(__file__).parent
HELP = "Choose a person and a garment, and see the person in the garment."


@dataclass
class Fitting:
    """The page's parts that depend on the model and the visitors: the room, sessions, and who was drawn."""

    room: Room
    sessions: Sessions
    fitted: Fitted


def build_page(room: Room):
    """The page as gradio Blocks; public endpoints are those of docs/fitting_room.md."""
    guard_gradio()
    desk = Fitting(room, Sessions(), Fitted())
    with gr.Blocks(title="Fitting room", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Fitting room\n{HELP}", elem_id="head")
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="person_side", min_width=300):
                person = person_panel(room)
            with gr.Column(elem_id="garment_side", min_width=300):
                garment = garment_panel(room)
                ways = way_inputs(room)
                silhouette, own_silhouette = silhouette_inputs(room)
                options = option_inputs(room)
            with gr.Column(elem_id="picture_side", min_width=300):
                gr.Markdown("## 3 · Try on", elem_classes="step")
                with gr.Row(elem_id="act"):
                    run = gr.Button("Try on", variant="primary", elem_id="generate")
                    stop = gr.Button("Cancel", elem_id="cancel")
                results = pictures_gallery("Pictures", "results", columns=2)
                status = gr.Markdown("", elem_id="status")
                result = result_panel()
                history, fetch = history_panel()
                dropped = settings_panel()
        gr.Markdown(room.name(), elem_id="model_name")
        inputs = [person.photo, garment.photo, garment.category, person.mask, person.way]
        inputs += [garment.worn, garment.mask, *ways, *options, *silhouette]
        going = run.click(show_errors(make_fit(desk)), inputs, results, api_name="fit", **ONE_AT_A_TIME)
        connect_history(desk.sessions, going, stop, status, history, fetch)
        connect_choices(desk, person, garment)
        connect_person(desk, page, person, garment)
        connect_garment(desk, garment, ways)
        connect_silhouette(desk, person, silhouette[0], own_silhouette)
        connect_result(desk, going, result, results, person)
        connect_settings(desk, named(inputs), person, garment, *dropped)
        page.load(None, None, None, js=page_script(HERE / "page.js"))
        page.unload(make_leave(desk.sessions))
    return page


def page_style() -> str:
    return (HERE / "style.css").read_text(encoding="utf-8")


def named(inputs: list) -> dict:
    """The page's inputs by the names of Inputs."""
    return {f.name: part for f, part in zip(fields(Inputs), inputs, strict=True)}


def make_fit(desk: Fitting):
    """The function of the button: Inputs -> [(person, name), (garment, name), (picture, caption), ...]."""

    def fit(request: gr.Request, progress=gr.Progress(), *values):  # noqa: B008
        key = request.session_hash
        with desk.sessions.working(key) as session:
            wanted = read_request(Inputs(*values), desk.room, partial(desk.fitted.find, session))
            before, drawn = session.still_shown(), []
            session.begin([_given(kind, offer) for kind, offer in wanted.given])
            pictures = []

            def keep(finished: list[DrawnFitting]):
                kept = session.keep([p.to_keep(len(pictures) + i) for i, p in enumerate(finished)])
                pictures.extend(kept)
                drawn.extend(finished)
                desk.fitted.keep(session, kept, finished)
                if wanted.way in (LOOKBOOK, PEOPLE) and len(drawn) == wanted.turns * wanted.num_samples:
                    sheet = Picture("lookbook", draw_lookbook(wanted, drawn), "lookbook, all on one sheet")
                    return [*pictures, *session.keep([sheet])]
                return list(pictures)

            work = partial(draw_fittings, desk.room, wanted)
            yield from show_reports(session, work, progress, [], keep, before)

    ours = [Parameter(f.name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for f in fields(Inputs)]
    special = list(Signature.from_callable(fit).parameters.values())[:2]
    # the names that programs may call the endpoint's inputs by
    fit.__signature__ = Signature(special + ours)
    return fit


def _given(kind, offer) -> Picture:
    return Picture(f"{kind}_{offer.digest[:6]}", encode_picture(offer.pixels), offer.name)
