"""A picture that is dropped on the demo's page sets the page as it was when the picture was made."""

from html import escape

import gradio as gr

from demo.errors import Refused, as_refused, show_errors
from demo.garments.canvas import palette_png
from demo.garments.page_photo import background_value
from demo.garments.restoring import RestoredSettings, restore_settings
from demo.history import PRIVATE

LARGEST = 2048  # short side up to which a stored map is painted on as it is


def settings_panel():
    """(where a picture is dropped whose settings are wanted, what became of them)."""
    label = "Take over the settings of a picture"
    picture = gr.File(label=label, file_types=["image"], height=130, elem_id="take_over")
    return picture, gr.HTML(elem_id="taken")


def connect_settings(sessions, models, components: dict, editor, photo, picture, told):
    """Dropping a picture sets `components`, by the names of demo.garments.restoring.SETTINGS, and the map."""

    def take_over(path, photo_path, show):
        try:
            found = restore_settings(path, components, models, photo_path)
            said = as_html(found)
        except Exception as error:
            if not isinstance(refused := as_refused(error), Refused):
                raise
            found = RestoredSettings(values={}, ids=None)
            said = f"<p>Nothing was taken over. {escape(refused.message)}</p>"
        value = gr.skip()
        if found.ids is not None:
            value = background_value(models.encoder, found.ids, photo_path, show, LARGEST)
        values = [found.values.get(name, gr.skip()) for name in components]
        return value, *values, said, None

    def settings_of(request: gr.Request, path):
        if path is None:
            raise ValueError("There is no picture: give one whose settings are wanted.")
        found, region_map = restore_settings(path, components, models), None
        if found.ids is not None:
            content = palette_png(found.ids, models.encoder)
            region_map = str(sessions.of(request.session_hash).write("map", ".png", content))
        return dict(inputs=found.values, missing=found.missing), region_map

    seen = [photo.inputs[0], photo.show]
    results = [editor, *components.values(), told, picture]
    picture.upload(take_over, [picture, *seen], results, **PRIVATE)
    answer = gr.JSON(visible=False), gr.File(visible=False)
    gr.Button(visible=False).click(show_errors(settings_of), picture, answer, api_name="settings_of")


def as_html(found: RestoredSettings) -> str:
    """What was taken over and what was not; of a stranger's file, nothing is markup."""
    what = "the map and " if found.ids is not None else ""
    seed = f", seed {found.values['seed']} among them" if "seed" in found.values else ""
    lines = [f"<p>Taken over: {what}{len(found.values)} settings{seed}.</p>"]
    if found.missing:
        lines.append("<p>Not taken over:</p><ul>")
        lines += [f"<li>{escape(said)}</li>" for said in found.missing]
        lines.append("</ul>")
    return "".join(lines)
