"""The demo's page: what it shows and what each control does. Needs gradio, imported where it is used."""

from functools import wraps

import numpy as np

from cldm.painting import read_map, working_map
from ldm.models.diffusion.samplers import SAMPLERS

CANVAS = 512  # short side of the painter
HELP = "Paint where the garments are, upload a map or take a template; then say what they look like."
MEANINGS = dict(
    top="shirts, jackets", bottom="trousers, skirts", whole="dresses, coats", head="hats, glasses"
)
PRIVATE = dict(api_visibility="private", show_progress="hidden")
CSS = """
#head h1 { margin: 0 }
#about { font-size: 0.9em; opacity: 0.8 }
#brush input { display: none }
#brush label { flex: 1; justify-content: center; padding: 6px 8px }
#brush label::before { content: ""; width: 18px; height: 18px; border-radius: 4px; border: 1px solid #8888 }
#templates .grid-wrap, #results .grid-wrap { min-height: 0; max-height: none; height: auto; overflow: hidden }
#templates .grid-container { grid: none / repeat(8, minmax(0, 1fr)); gap: 6px }
#templates .thumbnail-item { height: auto; aspect-ratio: 1 }
"""


def build_page(demo, templates):
    """The page of a cldm.demo.Demo as gradio Blocks; its one public endpoint is /process.

    Args:
        templates: (region map uint8 (h, w) in the demo's ids, caption) each.
    """
    import gradio as gr

    with gr.Blocks(title="Garment ControlNet", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Garment ControlNet\n{HELP}\n\n{demo.warning()}", elem_id="head")
        with gr.Row():
            with gr.Column():
                editor = painter(demo.encoder)
                gallery = template_gallery(demo.encoder, templates)
            with gr.Column():
                prompt = gr.Textbox(label="Prompt", placeholder="a person in a red dress", elem_id="prompt")
                run = gr.Button("Generate", variant="primary", elem_id="generate")
                options = option_inputs(demo)
                results = gr.Gallery(
                    label="Pictures",
                    show_label=False,
                    format="png",
                    columns=2,
                    height="auto",
                    elem_id="results",
                )
        gr.Markdown(demo.about(), elem_id="about")
        pick = plain(template_picker(demo.encoder, templates))
        gallery.select(pick, prompt, [editor, prompt, gallery], **PRIVATE)
        process = plain(demo.processor(gr.Progress()))
        inputs = [editor, prompt, *options]
        gr.on([run.click, prompt.submit], process, inputs, results, api_name="process")
    return page


def style(encoder) -> str:
    """The page's CSS, with each region's colour before its brush."""
    rule = "#brush label:nth-of-type({})::before {{ background: rgb{} }}\n"
    order = brush_order(encoder)
    return CSS + "".join(rule.format(i, encoder.colours[region]) for i, region in enumerate(order, 1))


def brush_order(encoder) -> list[int]:
    """Region ids in the order of the brushes: the background last."""
    return [*range(1, len(encoder.names)), 0]


def painter(encoder):
    """The image editor, below its brushes, above the button that fills it from a file."""
    import gradio as gr

    def brush(region):
        colour = "#{:02x}{:02x}{:02x}".format(*encoder.colours[region])
        return gr.Brush(colors=[colour], default_color=colour, color_mode="fixed", default_size=36)

    choices = [(encoder.names[region], region) for region in brush_order(encoder)]
    info = " · ".join(f"{name}: {MEANINGS[name]}" for name in encoder.names if name in MEANINGS)
    brushes = gr.Radio(choices, value=1, label="Brush", info=info, elem_id="brush")
    blank = editor_value(encoder, np.zeros((CANVAS, CANVAS), np.uint8))
    editor = gr.ImageEditor(
        blank,
        label="Region map",
        elem_id="painter",
        sources=(),
        transforms=(),
        buttons=[],
        format="png",
        layers=False,
        height=560,
        brush=brush(1),
        canvas_size=(CANVAS, CANVAS),
    )
    upload = gr.UploadButton("Upload a map", file_types=["image"], size="sm", elem_id="upload")
    brushes.change(lambda region: gr.ImageEditor(brush=brush(region)), brushes, editor, **PRIVATE)
    editor.clear(lambda: blank, None, editor, **PRIVATE)

    def uploaded(path):
        return editor_value(encoder, working_map(read_map(path, encoder), CANVAS))

    upload.upload(plain(uploaded), upload, editor, **PRIVATE)
    return editor


def editor_value(encoder, ids):
    """Region ids uint8 (h, w) as the background of an image editor."""
    return dict(background=encoder.to_rgb(ids), layers=[], composite=None)


def template_gallery(encoder, templates):
    import gradio as gr

    return gr.Gallery(
        [encoder.to_rgb(ids) for ids, _ in templates],
        show_label=False,
        visible=bool(templates),
        format="png",
        columns=8,
        height="auto",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="templates",
    )


def template_picker(encoder, templates):
    """What a click on a template does: map into the painter, caption into a prompt that nobody wrote."""
    import gradio as gr

    captions = {caption for _, caption in templates}

    def pick(event: gr.SelectData, prompt):
        ids, caption = templates[event.index]
        value = editor_value(encoder, working_map(ids, CANVAS))
        return (
            value,
            prompt if prompt and prompt not in captions else caption,
            gr.Gallery(selected_index=None),
        )

    return pick


def option_inputs(demo):
    """All inputs behind the prompt, in the order of `process`."""
    import gradio as gr

    size, start = demo.native_size, demo.defaults()
    with gr.Accordion("Options", open=False):
        prompts = [gr.Textbox(start["a_prompt"], label="Added prompt")]
        prompts += [gr.Textbox(start["n_prompt"], label="Negative prompt")]
        with gr.Row():
            amount = [
                gr.Slider(1, 12, start["num_samples"], step=1, precision=0, label="Pictures"),
                gr.Slider(size // 2, size * 3 // 2, size, step=64, precision=0, label="Resolution"),
                gr.Slider(1, 100, 20, step=1, precision=0, label="Steps"),
            ]
        with gr.Row():
            guidance = [
                gr.Checkbox(False, label="Guess mode", info="map without prompt"),
                gr.Slider(0, 2, 1, step=0.01, label="Control strength"),
                gr.Slider(0.1, 30, start["scale"], step=0.1, label="Guidance scale"),
            ]
        with gr.Row():
            noise = [
                gr.Number(-1, precision=0, minimum=-1, maximum=2**31 - 1, label="Seed (-1: random)"),
                gr.Slider(0, 1, 0, step=0.01, label="Eta (DDIM)"),
                gr.Dropdown(list(SAMPLERS), value="ddim", label="Sampler"),
            ]
        with gr.Row():
            span = [
                gr.Slider(0, 1, 0, step=0.01, label="Control start"),
                gr.Slider(0, 1, 1, step=0.01, label="Control end"),
            ]
    return prompts + amount + guidance + noise + span


def plain(function):
    """The function, showing its ValueErrors to the user as they are."""
    import gradio as gr

    @wraps(function)
    def shown(*values):
        try:
            return function(*values)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return shown
