"""Errors that visitors read: ours as they are, without the server's paths; all others in plain words."""

import inspect
import re
import traceback
from functools import wraps
from pathlib import Path

import gradio as gr
from gradio import queueing, utils
from gradio.exceptions import InvalidPathError

ROOT = Path(__file__).parent.parent
READ_BY = gr.ImageEditor, gr.Image, gr.File, gr.Slider, gr.Number, gr.Dropdown, gr.Radio, gr.CheckboxGroup
UNKNOWN = "Something went wrong on the server. Its owner finds the reason in the log."
UNREADABLE = "A value has not the form that its input takes: the page's API says which."
NOT_UPLOADED = "A file is named that nobody has uploaded: upload it first."
# an absolute path, of which the last part stays; what stands before it is no letter, as in "and/or"
PATH = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?(?:[\\/][^\s\\/'\",;:]+)+[\\/]([^\s\\/'\",;:]+)")


class Refused(gr.Error):
    """What a visitor did wrong, in words that may be shown; gradio's own errors are none of these."""

    def __init__(self, message: str):
        super().__init__(hide_paths(message), print_exception=False)


class NotUploaded(ValueError):
    """A client names a file by an address on the network instead of uploading it."""


def hide_paths(text: str) -> str:
    """A text with the names of files alone: where the server keeps them is nobody's business."""
    return PATH.sub(r"\1", text)


def show_errors(function):
    """A handler or a generator of one, which turns the ValueErrors of our own code into Refused."""

    @wraps(function)
    def call(*values):
        try:
            return function(*values)
        except Exception as error:
            raise as_refused(error) from error

    @wraps(function)
    def call_each(*values):
        try:
            yield from function(*values)
        except Exception as error:
            raise as_refused(error) from error

    return call_each if inspect.isgeneratorfunction(function) else call


def as_refused(error: Exception) -> Exception:
    """A Refused of what our own code says is wrong; any other error itself, which nobody is shown."""
    if isinstance(error, NotUploaded | InvalidPathError):
        return Refused(NOT_UPLOADED)
    if isinstance(error, FileNotFoundError | ValueError) and _is_ours(error):
        return Refused(str(error))
    return error


def _is_ours(error) -> bool:
    """Whether our own code raised it, rather than a library that our code has called."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    file = Path(frames[-1].filename)
    # what is raised in C shows our line that has called it
    is_raised = frames[-1].line.startswith("raise")
    return is_raised and file.is_relative_to(ROOT) and "site-packages" not in file.parts


def guard_errors() -> None:
    """Have gradio tell visitors nothing but Refused errors, and name components that cannot read a value.

    Its own words are about the library's inside, and some give away the server's paths. They are replaced in
    its modules and classes, as it makes new components of these for each visitor.
    """
    for component in READ_BY:
        if not hasattr(component.preprocess, "__wrapped__"):
            component.preprocess = _name_component(component.preprocess)
    queueing.error_payload = utils.error_payload = tell_error


def tell_error(error: BaseException | None, show_error: bool) -> dict:
    """What gradio sends to a browser or a program about an error; the log has the others' tracebacks."""
    if error is None:
        return dict(error=None)
    refused = error if isinstance(error, Refused) else as_refused(error)
    # the function in which gradio makes what its components expect of what was sent
    is_read = any(frame.name == "preprocess_data" for frame in traceback.extract_tb(error.__traceback__))
    message = UNREADABLE if is_read else UNKNOWN
    message = refused.message if isinstance(refused, Refused) else message
    return dict(error=message, visible=True, title="Error", duration=10)


def _name_component(preprocess):
    @wraps(preprocess)
    def read(self, payload):
        try:
            return preprocess(self, payload)
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"{self.label}: {_wanted(self, payload)}.") from error

    return read


def _wanted(component, payload):
    if isinstance(component, gr.Slider | gr.Number):
        given = str(payload)[:60]
        return f"a number from {component.minimum} to {component.maximum} is wanted, got {given}"
    if isinstance(component, gr.Dropdown | gr.Radio | gr.CheckboxGroup):
        # a program sends the value, a person sees the name
        said = [str(name) if name == value else f"{value} ({name})" for name, value in component.choices]
        choices = ", ".join(said)
        return f"choose from {choices}; got {str(payload)[:60]!r}"
    return "this is no picture that can be read, or it is damaged; save it as PNG"
