"""Options as fields of dataclasses, which --help and docs list with what they mean."""

import argparse
import difflib
from dataclasses import MISSING, field, fields

TRUTH = {"true": True, "false": False}
PART = ".PART"  # behind the name of an option that is given by its parts


def option(default, help: str, **argument):
    """A field with its help, and what else a command line's parser shall know of it.

    A default that can be called, such as `list`, is called for each new object.
    """
    value = dict(default_factory=default) if callable(default) else dict(default=default)
    return field(**value, metadata=dict(help=help, **argument))


def nearest(name: str, known) -> str:
    """ ", did you mean 'x'?", or the names that there are; the end of an error."""
    near = difflib.get_close_matches(str(name), list(map(str, known)), n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(map(str, known))}"


def read_value(name: str, text: str, kind: type):
    """The text of an option as a value of a type; ValueError names the option."""
    try:
        return TRUTH[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        wanted = "true or false" if kind is bool else f"of type {kind.__name__}"
        raise ValueError(f"option {name} must be {wanted}, got {text!r}") from error


def add_options(parser, kind, prefix="", hidden=False) -> None:
    """Give a parser an option for each field of a dataclass of options; what is given becomes `options`.

    That is a list of texts "key=value", as `read_value` and others read them, in their order. A field that is
    a dict is given by its parts, "key.part=value".

    Args:
        prefix: of all the keys.
        hidden: --help is silent about them, and those that the parser has already are left out.
    """
    for entry in fields(kind):
        default = entry.default_factory() if entry.default is MISSING else entry.default
        shown = str(default).lower() if isinstance(default, bool) else default
        told = f" The default is {shown}." if shown not in ("", {}) else ""
        in_parts = isinstance(default, dict)
        flag = f"--{prefix}{entry.name.replace('_', '-')}" + PART * in_parts
        if hidden and flag in parser._option_string_actions:
            continue
        parser.add_argument(
            flag,
            dest="options",
            action=_CollectPart if in_parts else _Collect,
            const=f"{prefix}{entry.name}",
            nargs="?" if isinstance(default, bool) else None,
            default=[],
            metavar="true|false" if isinstance(default, bool) else "X",
            help=argparse.SUPPRESS if hidden else (entry.metadata["help"] + told).replace("%", "%%"),
        )


class _Collect(argparse.Action):
    """Adds "key=text" to a list, "key=true" where a switch has no text."""

    def __call__(self, parser, namespace, values, option_string=None):
        text = "true" if values is None or values is self.const else values
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{self.const}={text}"])


class _CollectPart(_Collect):
    """Adds "key.part=text" of what is given as "part=text"."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{self.const}.{values}"])
