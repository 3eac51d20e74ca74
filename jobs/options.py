"""Options as fields of dataclasses, which --help and docs list with what they mean."""

from dataclasses import field


def option(default, help: str, **argument):
    """A field with its help, and what else a command line's parser shall know of it.

    A default that can be called, such as `list`, is called for each new object.
    """
    value = dict(default_factory=default) if callable(default) else dict(default=default)
    return field(**value, metadata=dict(help=help, **argument))
