"""The demo's page: a map on the left, words and pictures on the right."""

from dataclasses import dataclass, fields
from inspect import Parameter, Signature

import gradio as gr

from cldm.demo.drawing import Step, draw
from cldm.demo.loading import Models
from cldm.demo.page_map import CLICK, PRIVATE, connect_map, map_panel
from cldm.demo.page_options import further_inputs, option_inputs, prompt_helper, way_inputs
from cldm.demo.page_photo import map_finder, photo_panel, photo_shower
from cldm.demo.plain import plain, speak_plainly
from cldm.demo.request import Inputs, requested
from cldm.demo.session import Sessions
from cldm.demo.streaming import Cancelled, streamed

HELP = "Paint where the garments are, say what they look like, get pictures that follow both."
ONE_AT_A_TIME = dict(concurrency_id="model", concurrency_limit=1)
# what screen readers announce as it changes, and names of what gradio leaves unnamed
ON_LOAD = """() => {
    document.querySelector("#status").setAttribute("role", "status");
    document.querySelector("#painter").setAttribute("role", "group");
    document.querySelector("#painter").setAttribute("aria-label", "Region map, to be painted");
    document.querySelectorAll("input[type=file]:not([aria-label])").forEach(
        input => input.setAttribute("aria-label", "Upload a map"));
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
    """The page as gradio Blocks; public endpoints are /process, /find_garments, /save_map and /download."""
    speak_plainly()
    sessions, demo = Sessions(), models.get(None)
    with gr.Blocks(title="Garment ControlNet", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Garment ControlNet\n{HELP}\n\n{demo.warning()}", elem_id="head")
        with gr.Row():
            with gr.Column():
                panel = map_panel(demo, extras.templates)
                photo = photo_panel(demo)
            with gr.Column():
                prompt = gr.Textbox(
                    label="Prompt", placeholder="a person in a red dress", lines=2, elem_id="prompt"
                )
                prompt_helper(prompt, extras.garments, extras.colours)
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
        page.load(None, None, None, js=ON_LOAD)
        page.unload(leaver(sessions))
    return page


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
                    kept += session.keep(told)
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


def pictures_gallery(label, elem_id, **options):
    return gr.Gallery(
        label=label,
        format="png",
        height="auto",
        object_fit="contain",
        show_label=False,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        **options,
    )


def history_panel():
    """(gallery of the session's pictures, button that fetches them all)."""
    with gr.Accordion("Pictures of this session", open=False, elem_id="history_panel"):
        history = pictures_gallery("Pictures of this session", "history", columns=6)
        gr.Markdown("They are deleted when you leave the page. The settings are in each file's metadata.")
        fetch = gr.Button("Download all as zip", elem_id="download")
    return history, fetch


def connect_history(sessions, going, stop, status, history, fetch):
    """What follows a request: it can be stopped, its pictures join the others, all can be fetched."""
    zipped = gr.DownloadButton("Zip", visible="hidden", elem_id="zip_file")

    def listed(request: gr.Request):
        session = sessions.of(request.session_hash)
        return list(reversed(session.pictures)), session.told()

    def cancel(request: gr.Request):
        session = sessions.of(request.session_hash)
        session.stop()
        # the request may end by itself before the page ends it, and then says how it stands, too
        return session.told()

    def archive(request: gr.Request):
        return str(sessions.of(request.session_hash).archive())

    going.success(listed, None, [history, status], queue=False, **PRIVATE)
    stop.click(cancel, None, status, cancels=[going], queue=False, **PRIVATE)
    fetch.click(plain(archive), None, zipped, api_name="download", show_progress="minimal")
    zipped.change(None, None, None, js=CLICK.format("zip_file"))


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
