"""The demo's page: words and a button above; below, a map on the left and pictures on the right."""

from dataclasses import fields
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path

import gradio as gr

from demo.errors import show_errors
from demo.garments.drawing import draw_request, map_to_keep
from demo.garments.loading import Models
from demo.garments.offers import Extras
from demo.garments.page_map import brush_order, change_map, connect_map, first_template, map_panel
from demo.garments.page_options import (
    further_inputs,
    make_count_tokens,
    option_inputs,
    prompt_input,
    way_inputs,
    words_panel,
)
from demo.garments.page_photo import make_find_garments, make_show_photo, photo_panel
from demo.garments.page_request import Inputs, read_request
from demo.garments.page_settings import connect_settings, settings_panel
from demo.garments.restoring import SETTINGS
from demo.guards import guard_gradio
from demo.history import PRIVATE, connect_history, history_panel, make_leave, pictures_gallery
from demo.reports import show_reports
from demo.serve import ONE_AT_A_TIME, page_script
from demo.session import Sessions

HELP = "Paint where the garments are, say what they look like, get pictures that follow both."
HERE = Path(__file__).parent
BRUSH_COLOUR = "#brush label:nth-of-type({})::before {{ background: rgb{} }}\n"


def build_page(models: Models, extras: Extras):
    """The page as gradio Blocks; public endpoints are those of docs/demo.md."""
    guard_gradio()
    sessions, demo, templates = Sessions(), models.get(None), extras.templates
    with gr.Blocks(title="Garment ControlNet", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Garment ControlNet\n{HELP} {demo.about()}", elem_id="head")
        gr.Markdown(demo.warning(), visible=bool(demo.warning()), elem_id="warning")
        with gr.Row(elem_id="ask"):
            with gr.Column(scale=4, min_width=300):
                prompt = prompt_input(first_template(templates).prompt or "")
                tokens = gr.HTML(elem_id="tokens", padding=False)
            with gr.Column(scale=1, min_width=160, elem_id="act"):
                run = gr.Button("Generate", variant="primary", elem_id="generate")
                stop = gr.Button("Cancel", elem_id="cancel")
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="map_side", min_width=300):
                panel = map_panel(demo, templates)
                photo = photo_panel(demo)
            with gr.Column(elem_id="picture_side", min_width=300):
                results = pictures_gallery("Pictures", "results", columns=2)
                status = gr.Markdown("", elem_id="status")
                words_panel(prompt, extras.garments, extras.colours)
                options, ways = option_inputs(demo), way_inputs(list(models.files))
                further = further_inputs(demo)
                history, fetch = history_panel()
                dropped = settings_panel()
        gr.Markdown(demo.name(), elem_id="model_name")
        compare = ways[0]
        compare.change(lambda wanted: gr.Gallery(columns=3 if wanted else 2), compare, results, **PRIVATE)
        inputs = [panel.editor, prompt, *options, *photo.inputs, *ways, *further]
        going = gr.on(
            [run.click, prompt.submit],
            show_errors(make_process(models, sessions)),
            inputs,
            results,
            api_name="process",
            **ONE_AT_A_TIME,
        )
        count = make_count_tokens(models)
        counted = dict(trigger_mode="always_last", queue=False, **PRIVATE)
        gr.on([page.load, prompt.change, options[0].change], count, [prompt, options[0]], tokens, **counted)
        connect_history(sessions, going, stop, status, history, fetch)
        connect_map(sessions, models, templates, panel, photo, prompt)
        connect_photo(models, panel, photo)
        connect_settings(sessions, models, select_settings(inputs), panel.editor, photo, *dropped)
        page.load(None, None, None, js=page_script(HERE / "page.js"))
        page.unload(make_leave(sessions))
    return page


def page_style(encoder) -> str:
    """The page's CSS, with the colours of the brushes."""
    css = (HERE / "style.css").read_text(encoding="utf-8")
    return css + "".join(
        BRUSH_COLOUR.format(i, encoder.colours[region]) for i, region in enumerate(brush_order(encoder), 1)
    )


def select_settings(inputs: list) -> dict:
    """Of the page's inputs, those that a picture can say, by name."""
    names = [field.name for field in fields(Inputs)][:-1]
    named = {name: part for name, part in zip(names, inputs, strict=False) if name in (*SETTINGS, "model")}
    strengths = inputs[len(names) + 1 :: 2]
    return named | {f"further_strength_{i}": part for i, part in enumerate(strengths, 1)}


def make_process(models: Models, sessions: Sessions):
    """The function of the button Generate: Inputs -> [(map, caption), (picture, its seed), ...] as files."""

    def process(request: gr.Request, progress=gr.Progress(), *values):  # noqa: B008
        num = len(fields(Inputs)) - 1
        inputs, demo = Inputs(*values[:num], further=list(values[num:])), models.get(values[num - 1])
        wanted = read_request(inputs, demo)
        with sessions.working(request.session_hash) as session:
            before = session.still_shown()
            region_map, kept = *session.begin([map_to_keep(wanted.ids, demo.encoder)]), []

            def keep(drawn):
                kept.extend(session.keep([picture.to_keep(wanted.map_png) for picture in drawn]))
                return lay_out(region_map, kept, wanted.compare)

            work = partial(draw_request, demo, wanted)
            yield from show_reports(session, work, progress, [region_map], keep, before)

    names = [field.name for field in fields(Inputs)][:-1]
    for i in range(1, len(models.demo.further) + 1):
        names += [f"further_map_{i}", f"further_strength_{i}"]
    ours = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in names]
    special = list(Signature.from_callable(process).parameters.values())[:2]
    # the names that programs may call the endpoint's inputs by
    process.__signature__ = Signature(special + ours)
    return process


def lay_out(region_map, pictures, compare):
    """The map before the pictures; in a comparison before each pair, of which one follows it."""
    if not compare:
        return [region_map, *pictures]
    pairs = zip(pictures[::2], pictures[1::2], strict=True)
    return [shown for pair in pairs for shown in (region_map, *pair)]


def connect_photo(models, panel, photo):
    """The photo under the map, and the map that is found in it."""
    show, seen = show_errors(make_show_photo(models.encoder)), [photo.inputs[0], photo.show]
    change_map(photo.show.input, show, [panel.editor, *seen], panel.editor)

    def show_again(value, path, wanted):
        return show(value, path, wanted) if wanted else gr.skip()

    change_map(photo.inputs[0].change, show_again, [panel.editor, *seen], panel.editor)
    if photo.find:
        find = show_errors(make_find_garments(models))
        photo.find.click(find, seen, panel.editor, api_name="find_garments", **ONE_AT_A_TIME)
