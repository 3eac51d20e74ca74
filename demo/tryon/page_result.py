"""What is done with the pictures: one is compared with the photo before, or tries on what comes next."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from demo.errors import show_errors
from demo.history import PRIVATE


@dataclass
class ResultPanel:
    slider: gr.ImageSlider
    next: gr.Button
    chosen: gr.State  # the name of the file that is compared
    panel: gr.Column


def result_panel() -> ResultPanel:
    """Before and after of one picture, and a button that lets it try on another garment."""
    with gr.Column(visible=False, elem_id="compare_panel") as panel:
        gr.Markdown("Drag the line to compare. Click a picture above for another.", elem_classes="hint")
        slider = gr.ImageSlider(
            label="Before and after",
            show_label=False,
            type="numpy",
            format="png",
            interactive=False,
            buttons=[],
            max_height=420,
            elem_id="compare",
        )
        go_on = gr.Button("Try the next garment on this picture", size="sm", elem_id="next")
    return ResultPanel(slider, go_on, gr.State(None), panel)


def connect_result(desk, going, result: ResultPanel, results, person) -> None:
    """The newest picture is compared, or the one that is clicked; the button makes it the next person."""
    nothing = gr.skip(), gr.skip(), gr.skip()

    def compare(session, name):
        known = desk.fitted.of_file(session, name)
        if known is None:
            return nothing
        return (known.before, known.person.offer.pixels), name, gr.Column(visible=True)

    def compare_newest(request: gr.Request):
        session = desk.sessions.of(request.session_hash)
        names = [Path(file).name for file, _ in session.still_shown()]
        known = [name for name in names if desk.fitted.of_file(session, name)]
        return compare(session, known[-1]) if known else nothing

    def compare_clicked(event: gr.SelectData, request: gr.Request):
        file = event.value["image"]["path"] if isinstance(event.value, dict) else str(event.value)
        return compare(desk.sessions.of(request.session_hash), Path(file).name)

    def use_as_person(request: gr.Request, name):
        session = desk.sessions.of(request.session_hash)
        path = session.folder / Path(name or "").name
        if not name or desk.fitted.of_file(session, path.name) is None or not path.is_file():
            raise ValueError("There is no picture to go on with: try something on first.")
        return str(path)

    outputs = [result.slider, result.chosen, result.panel]
    going.success(compare_newest, None, outputs, queue=False, **PRIVATE)
    results.select(compare_clicked, None, outputs, **PRIVATE)
    result.next.click(show_errors(use_as_person), result.chosen, person.photo, **PRIVATE)
