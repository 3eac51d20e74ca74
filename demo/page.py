"""The demo's page: a map on the left, words and pictures on the right."""

from dataclasses import dataclass, fields
from inspect import Parameter, Signature

import gradio as gr
from PIL import EpsImagePlugin

from demo.drawing import Step, draw
from demo.loading import Models
from demo.page_map import PRIVATE, connect_map, map_panel
from demo.page_options import further_inputs, option_inputs, prompt_input, way_inputs
from demo.page_photo import map_finder, photo_panel, photo_shower
from demo.page_settings import (
    connect_history,
    connect_settings,
    history_panel,
    pictures_gallery,
    settings_panel,
)
from demo.plain import plain, speak_plainly
from demo.request import Inputs, requested
from demo.restoring import SETTINGS
from demo.session import Cancelled, Sessions, streamed

HELP = "Paint where the garments are, say what they look like, get pictures that follow both."
ONE_AT_A_TIME = dict(concurrency_id="model", concurrency_limit=1)
# what screen readers announce as it changes, and names of what gradio leaves unnamed
ON_LOAD = """() => {
    document.querySelector("#status").setAttribute("role", "status");
    document.querySelector("#taken").setAttribute("role", "status");
    document.querySelector("#painter").setAttribute("role", "group");
    document.querySelector("#painter").setAttribute("aria-label", "Region map, to be painted");
    document.querySelectorAll("input[type=file]:not([aria-label])").forEach(
        input => input.setAttribute("aria-label", "Upload a map"));
    document.querySelector("#take_over button").setAttribute(
        "aria-label", "Take over the settings of a picture: drop it here, or click to choose it");
    // gradio gives each radio button a name of its own, so that arrow keys would not go from one to the next
    document.addEventListener("focusin", event => {
        const group = event.target.type === "radio" && event.target.closest("#brush, #photo_use");
        if (group) group.querySelectorAll("input").forEach(radio => radio.name = group.id);
    });
}"""


@dataclass
class Extras:
    """What the page offers besides the model.

    templates: (region map uint8 (h, w), caption, whether the caption is a prompt) each.
    garments: region -> words; colours: words.
    """

    templates: list
    garments: dict[str, list[str]]
    colours: list[str]


def build_page(models: Models, extras: Extras):
    """The page as gradio Blocks; public endpoints are those of docs/demo.md."""
    speak_plainly()
    EpsImagePlugin.gs_binary = False  # Pillow would run Ghostscript on a stranger's file, whatever its name
    sessions, demo = Sessions(), models.get(None)
    with gr.Blocks(title="Garment ControlNet", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Garment ControlNet\n{HELP}\n\n{demo.warning()}", elem_id="head")
        with gr.Row():
            with gr.Column():
                panel = map_panel(demo, extras.templates)
                photo = photo_panel(demo)
                dropped = settings_panel()
            with gr.Column():
                prompt = prompt_input(extras.garments, extras.colours)
                with gr.Row():
                    run = gr.Button("Generate", variant="primary", elem_id="generate", scale=3)
                    stop = gr.Button("Cancel", elem_id="cancel", scale=1)
                results = pictures_gallery("Pictures", "results", columns=2)
                status = gr.Markdown(elem_id="status")
                options, ways = option_inputs(demo), way_inputs(list(models.files))
                further = further_inputs(demo)
                history, fetch = history_panel()
        gr.Markdown(demo.about(), elem_id="about")
        compare = ways[0]
        compare.change(lambda wanted: gr.Gallery(columns=3 if wanted else 2), compare, results, **PRIVATE)
        inputs = [panel.editor, prompt, *options, *photo.inputs, *ways, *further]
        going = gr.on(
            [run.click, prompt.submit],
            plain(processor(models, sessions)),
            inputs,
            results,
            api_name="process",
            **ONE_AT_A_TIME,
        )
        connect_history(sessions, going, stop, status, history, fetch)
        connect_map(sessions, models, panel, photo, prompt)
        connect_photo(models, panel, photo)
        connect_settings(sessions, models, named_settings(inputs), panel.editor, photo, *dropped)
        page.load(None, None, None, js=ON_LOAD)
        page.unload(leaver(sessions))
    return page


def named_settings(inputs: list) -> dict:
    """Of the page's inputs, those that a picture can say, by name."""
    names = [field.name for field in fields(Inputs)][:-1]
    named = {name: part for name, part in zip(names, inputs, strict=False) if name in (*SETTINGS, "model")}
    strengths = inputs[len(names) + 1 :: 2]
    return named | {f"further_strength_{i}": part for i, part in enumerate(strengths, 1)}


def processor(models: Models, sessions: Sessions):
    """The function of the button Generate: Inputs -> [(map, caption), (picture, its seed), ...] as files."""

    def process(request: gr.Request, progress=gr.Progress(), *values):  # noqa: B008
        num = len(fields(Inputs)) - 1
        inputs, demo = Inputs(*values[:num], further=list(values[num:])), models.get(values[num - 1])
        wanted, session = requested(inputs, demo), sessions.of(request.session_hash)
        region_map = session.begin(wanted.ids, demo.encoder)
        shown, kept = [region_map], []
        try:
            for told in streamed(lambda report: draw(demo, wanted, report), session.cancelled):
                if isinstance(told, Step):
                    progress((told.done, told.total), desc="Drawing", unit="steps")
                    if told.preview is not None:
                        text = f"preview after {told.done} of {told.total} steps"
                        yield [*shown, (told.preview, text)]
                else:
                    kept += session.keep(told, wanted.map_png)
                    shown = laid_out(region_map, kept, wanted.compare)
                    yield shown
        except Cancelled:
            yield shown

    names = [field.name for field in fields(Inputs)][:-1]
    for i in range(1, len(models.demo.further) + 1):
        names += [f"further_map_{i}", f"further_strength_{i}"]
    ours = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in names]
    special = list(Signature.from_callable(process).parameters.values())[:2]
    # the names that programs may call the endpoint's inputs by
    process.__signature__ = Signature(special + ours)
    return process


def laid_out(region_map, pictures, compare):
    """The map before the pictures; in a comparison before each pair, of which one follows it."""
    if not compare:
        return [region_map, *pictures]
    pairs = zip(pictures[::2], pictures[1::2], strict=True)
    return [shown for pair in pairs for shown in (region_map, *pair)]


def connect_photo(models, panel, photo):
    """The photo under the map, and the map that is found in it."""
    shower, seen = plain(photo_shower(models.encoder)), [photo.inputs[0], photo.show]
    photo.show.input(shower, [panel.editor, *seen], panel.editor, **PRIVATE)

    def changed(value, path, show):
        return shower(value, path, show) if show else gr.skip()

    photo.inputs[0].change(changed, [panel.editor, *seen], panel.editor, **PRIVATE)
    if photo.find:
        find = plain(map_finder(models))
        photo.find.click(find, seen, panel.editor, api_name="find_garments", **ONE_AT_A_TIME)


def leaver(sessions):
    def leave(request: gr.Request):
        sessions.end(request.session_hash)

    return leave
