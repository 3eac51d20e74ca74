"""Errors that visitors read: ours as they are, gradio's own in plain words."""

import inspect
from functools import wraps

import gradio as gr

READ_BY = gr.ImageEditor, gr.Image, gr.File, gr.Slider, gr.Number, gr.Dropdown, gr.Radio, gr.CheckboxGroup


def plain(function):
    """A handler or a generator of one, showing its ValueErrors as they are."""

    @wraps(function)
    def shown(*values):
        try:
            return function(*values)
        except (ValueError, FileNotFoundError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    @wraps(function)
    def shown_each(*values):
        try:
            yield from function(*values)
        except (ValueError, FileNotFoundError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return shown_each if inspect.isgeneratorfunction(function) else shown


def speak_plainly():
    """Have gradio's components name themselves and what they want where a value cannot be read.

    Their own words are about the library's inside, and those about pictures give away the server's paths.
    They are replaced in the classes, as gradio makes new components of them for each visitor.
    """
    for component in READ_BY:
        if not hasattr(component.preprocess, "__wrapped__"):
            component.preprocess = _plain_preprocess(component.preprocess)


def _plain_preprocess(preprocess):
    @wraps(preprocess)
    def read(self, payload):
        try:
            return preprocess(self, payload)
        except Exception as error:
            raise gr.Error(f"{self.label}: {_wanted(self, payload)}.", print_exception=False) from error

    return read


def _wanted(component, payload):
    if isinstance(component, gr.Slider | gr.Number):
        given = str(payload)[:60]
        return f"a number from {component.minimum} to {component.maximum} is wanted, got {given}"
    if isinstance(component, gr.Dropdown | gr.Radio | gr.CheckboxGroup):
        choices = ", ".join(str(name) for name, _ in component.choices)
        return f"choose from {choices}; got {str(payload)[:60]!r}"
    return "this is no picture that can be read, or it is damaged; save it as PNG"
