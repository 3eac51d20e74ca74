"""A picture that is dropped on the demo's page sets the page as it was when the picture was made."""

from html import escape

import gradio as gr

from cldm.demo.page_photo import shown_value
from cldm.demo.pixels import palette_png
from cldm.demo.plain import plain
from cldm.demo.restoring import Restored, restored

PRIVATE = dict(api_visibility="private", show_progress="hidden")
LARGEST = 2048  # short side up to which a stored map is painted on as it is


def settings_panel():
    """(where a picture is dropped whose settings are wanted, what became of them)."""
    label = "Take over the settings of a picture"
    picture = gr.File(label=label, file_types=["image"], height=130, elem_id="take_over")
    return picture, gr.HTML(elem_id="taken")


def connect_settings(sessions, models, components: dict, editor, photo, picture, told):
    """Dropping a picture sets `components`, by the names of cldm.demo.restoring.SETTINGS, and the map."""

    def take_over(path, photo_path, show):
        try:
            found = restored(path, components, models, photo_path)
            said = as_html(found)
        except ValueError as error:
            found, said = Restored({}, None), f"<p>Nothing was taken over. {escape(str(error))}</p>"
        value = gr.skip()
        if found.ids is not None:
            value = shown_value(models.encoder, found.ids, photo_path, show, LARGEST)
        values = [found.values.get(name, gr.skip()) for name in components]
        return value, *values, said, None

    def settings_of(request: gr.Request, path):
        if path is None:
            raise ValueError("There is no picture: give one whose settings are wanted.")
        found, region_map = restored(path, components, models), None
        if found.ids is not None:
            content = palette_png(found.ids, models.encoder)
            region_map = str(sessions.of(request.session_hash).write("map", ".png", content))
        return dict(inputs=found.values, missing=found.missing), region_map

    seen = [photo.inputs[0], photo.show]
    results = [editor, *components.values(), told, picture]
    picture.upload(take_over, [picture, *seen], results, **PRIVATE)
    answer = gr.JSON(visible=False), gr.File(visible=False)
    gr.Button(visible=False).click(plain(settings_of), picture, answer, api_name="settings_of")


def as_html(found: Restored) -> str:
    """What was taken over and what was not; of a stranger's file, nothing is markup."""
    what = "the map and " if found.ids is not None else ""
    seed = f", seed {found.values['seed']} among them" if "seed" in found.values else ""
    lines = [f"<p>Taken over: {what}{len(found.values)} settings{seed}.</p>"]
    if found.missing:
        lines.append("<p>Not taken over:</p><ul>")
        lines += [f"<li>{escape(said)}</li>" for said in found.missing]
        lines.append("</ul>")
    return "".join(lines)
