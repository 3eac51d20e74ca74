"""The right of the demo's page: words and numbers, in the order of demo.garments.page_request.Inputs."""

from html import escape

import gradio as gr

from demo.garments.page_request import MAX_SEED
from demo.history import PRIVATE
from demo.texts import join_prompts, shorten
from ldm.models.diffusion.samplers import SAMPLERS


def prompt_input(value: str):
    """The prompt's field, filled with the words that go with the map that the page opens with."""
    example = "a person in a red dress"
    return gr.Textbox(value, label="Prompt", placeholder=example, lines=1, max_lines=4, elem_id="prompt")


def make_count_tokens(models):
    """The function that says of a prompt, with the added one, how much of it the model reads."""

    def count_tokens(prompt, added):
        demo = models.demo  # None while another one is loaded
        tokenizer = getattr(demo.model.cond_stage_model, "tokenizer", None) if demo else None
        try:
            text = join_prompts("Prompt", prompt, added)
        except ValueError as error:
            return f"<span class='beyond'>{escape(str(error))}</span>"
        if tokenizer is None:
            return ""
        ids, room = tokenizer.encode(text), tokenizer.max_length - 2
        if len(ids) <= room:
            return f"{len(ids)} of {room} tokens"
        rest = escape(shorten(tokenizer.decode(ids[room:]), 60))
        return f"<span class='beyond'>{len(ids)} of {room} tokens: the model does not read “{rest}”</span>"

    return count_tokens


def words_panel(prompt, garments: dict[str, list[str]], colours: list[str]) -> None:
    """Region, colour and garment to choose, and a button that writes them into the prompt."""
    if not garments:
        return
    first = next(iter(garments))
    with gr.Accordion("Garment words", open=False, elem_id="words_panel"):
        with gr.Row():
            region = gr.Dropdown(list(garments), value=first, label="Region", elem_id="words_region")
            colour = gr.Dropdown(["any", *colours], value="any", label="Colour", elem_id="words_colour")
            words = garments[first]
            garment = gr.Dropdown(words, value=words[0], label="Garment", elem_id="words_garment")
        add = gr.Button("Add to the prompt", size="sm", elem_id="add_words")

    def of_region(name):
        return gr.Dropdown(garments[name], value=garments[name][0])

    region.change(of_region, region, garment, **PRIVATE)
    add.click(add_garment, [prompt, colour, garment], prompt, **PRIVATE)


def add_garment(prompt: str | None, colour: str, garment: str) -> str:
    """A prompt that names one more garment: "a person in a red dress", then ", blue jeans"."""
    words = garment if colour == "any" else f"{colour} {garment}"
    is_plural = garment.endswith("s") and not garment.endswith("ss")
    article = "" if is_plural else "an " if words[0] in "aeiou" else "a "
    prompt = (prompt or "").strip().rstrip(",")
    return f"{prompt}, {article}{words}" if prompt else f"a person in {article}{words}"


def option_inputs(demo):
    """The original's inputs behind the prompt, and sampler and range."""
    size, start = demo.native_size, demo.defaults()
    with gr.Accordion("Options", open=False, elem_id="options"):
        prompts = [gr.Textbox(start["a_prompt"], label="Added prompt", elem_id="a_prompt")]
        prompts += [gr.Textbox(start["n_prompt"], label="Negative prompt", elem_id="n_prompt")]
        sizes = size // 2, size * 3 // 2, size
        with gr.Row():
            amount = [
                slider(1, 12, start["num_samples"], 1, "Pictures", "num_samples"),
                slider(*sizes, 64, "Resolution", "image_resolution"),
                slider(1, 100, 20, 1, "Steps", "ddim_steps"),
            ]
        with gr.Row():
            guess = gr.Checkbox(False, label="Guess mode", info="map without prompt", elem_id="guess_mode")
            guidance = [
                guess,
                slider(0, 2, 1, 0.01, "Control strength", "strength"),
                slider(0.1, 30, start["scale"], 0.1, "Guidance scale", "scale"),
            ]
        with gr.Row():
            seed = dict(precision=0, minimum=-1, maximum=MAX_SEED, elem_id="seed")
            noise = [
                gr.Number(-1, label="Seed (-1: random)", **seed),
                slider(0, 1, 0, 0.01, "Eta (DDIM)", "eta"),
                gr.Dropdown(list(SAMPLERS), value="ddim", label="Sampler", elem_id="sampler"),
            ]
        with gr.Row():
            span = [
                slider(0, 1, 0, 0.01, "Control start", "control_start"),
                slider(0, 1, 1, 0.01, "Control end", "control_end"),
            ]
    return prompts + amount + guidance + noise + span


def slider(low, high, value, step, label, elem_id):
    precision = 0 if step >= 1 else None
    return gr.Slider(low, high, value, step=step, precision=precision, label=label, elem_id=elem_id)


def way_inputs(names: list[str]):
    """How pictures are shown, and which model draws them."""
    with gr.Row(elem_id="ways"):
        beside = "each beside one of the same seed"
        compare = gr.Checkbox(False, label="Compare without the map", info=beside, elem_id="compare")
        preview = gr.Checkbox(True, label="Previews", info="takes a little longer", elem_id="preview")
        model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, elem_id="model")
    return [compare, preview, model]


def further_inputs(demo):
    """A map and a strength for each further control."""
    inputs = []
    for i, steering in enumerate(demo.further):
        name = steering.file.path.replace("\\", "/").rsplit("/", 1)[-1]
        with gr.Accordion(f"Control {name}", open=False, elem_id=f"further_{i}"), gr.Row():
            inputs.append(
                gr.Image(
                    label=f"Map for {name}; without one it does not act",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=200,
                    buttons=[],
                    elem_id=f"further_map_{i}",
                )
            )
            factor = "factor on the strength it was started with"
            inputs.append(
                gr.Slider(
                    0,
                    2,
                    1,
                    step=0.01,
                    label=f"Strength of {name}",
                    info=factor,
                    elem_id=f"further_strength_{i}",
                )
            )
    return inputs
