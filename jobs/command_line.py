"""The command line that all scripts share: how options are spelt and listed, and how a script ends."""

import _thread
import argparse
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path

from jobs.options import PART, nearest, read_value
from jobs.progress import end_line

# Threads that wait for one another sleep soon. On cores that other work keeps busy, threads that spin take
# many times the time. This must be said before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

WIDEST = 100  # columns of --help
COMMAND = "garment-"  # what the names of installed scripts begin with
DTYPES = dict(fp32="float32", fp16="float16", bf16="bfloat16")

# What means the same in several scripts has one name, one default and one text: docs/command_line.md.
SHARED = {
    "--base": dict(
        metavar="PATH",
        help="The base under the control, a file or folder. Without it, the control says which.",
    ),
    "--batch-size": dict(type=int, default=4, metavar="N", help="How many pictures are computed at once."),
    "--config": dict(
        metavar="YAML",
        help="The yaml of the model. Without it, the checkpoint says which, or its tensors do.",
    ),
    "--control": dict(
        metavar="FILE", help="A trained control, or a whole model. Without one, the newest in runs/ is taken."
    ),
    "--data": dict(type=Path, default=Path("training/dolls"), metavar="DIR", help="The training folder."),
    "--device": dict(default="auto", help="Where networks run: auto, cpu, mps, cuda, cuda:1 and so on."),
    "--dtype": dict(choices=tuple(DTYPES), help="The type of the numbers that are written."),
    "--guidance": dict(
        type=float,
        metavar="X",
        help="The scale of classifier-free guidance. The default is 9, and 3 for the tiny model.",
    ),
    "--host": dict(default="127.0.0.1", help="The address to listen on, 0.0.0.0 for everybody."),
    "--limit": dict(type=int, metavar="N", help="Take only N of what there is to do."),
    "--max-steps": dict(type=int, metavar="N", help="How many optimizer steps the training has in all."),
    "--num": dict(type=int, default=1, metavar="N", help="How many pictures are drawn of each map."),
    "--num-nodes": dict(type=int, default=1, metavar="N", help="How many machines take part."),
    "--devices": dict(
        type=int, default=0, metavar="N", help="How many devices of the machine take part. 0 takes all."
    ),
    "--port": dict(
        type=int, metavar="N", help="The port. Without it, the first free one from 7860 is taken."
    ),
    "--precision": dict(
        default="auto",
        help="Lightning's precision, such as 32-true. auto takes bf16-mixed where the device computes it.",
    ),
    "--queue": dict(type=int, default=16, metavar="N", help="How many visitors may wait for their turn."),
    "--sampler": dict(default="dpmpp_2m", metavar="NAME", help="The sampler, dpmpp_2m, unipc or ddim."),
    "--sampling-steps": dict(type=int, default=20, metavar="N", help="How many steps the sampler makes."),
    "--seed": dict(type=int, default=0, metavar="N", help="What everything random is drawn from."),
    "--segmenter": dict(type=Path, metavar="PATH", help="The segmenter that finds garments in pictures."),
    "--share": dict(
        action="store_true", default=False, help="Make a public address, too, by gradio's servers."
    ),
    "--weights": dict(metavar="PATH", help="The network's weights, a local file or folder."),
    "--workers": dict(
        type=int, metavar="N", help="How many processes work. Without it, one for each core, 16 at most."
    ),
}


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Texts as they are written, options as sentences, nothing wider than a page."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=26, width=min(WIDEST, shutil.get_terminal_size().columns))

    def _fill_text(self, text, width, indent):
        """Commands as they are written, what is too wide of a list below its last column, prose anew."""
        lines, prose = [], []
        for line in [*text.splitlines(), ""]:
            if line and not line.startswith((" ", "-", "python ", COMMAND)):
                prose.append(line)
                continue
            lines += textwrap.wrap(" ".join(prose), width, break_on_hyphens=False)
            prose = []
            column = max((gap.end() for gap in re.finditer(r"^ +|(?<=\S)  +", line)), default=0)
            column = max(column, 2 * line.startswith("- "))
            listed = line.startswith(("- ", "  ")) and not line.startswith("    ")
            hang = dict(subsequent_indent=" " * min(column, width // 2), break_on_hyphens=False)
            lines += textwrap.wrap(line, width, **hang) if listed else [line]
        return "\n".join(lines).rstrip()

    def _get_help_string(self, action):
        help = action.help or ""
        silent = action.default in (None, False, "", argparse.SUPPRESS) or action.default == []
        return help if silent or "default" in help else f"{help} The default is %(default)s."


def _respell_commands(text: str) -> str:
    """A text that names scripts, as `python tutorial_train.py`; where they are installed, their commands."""
    if Path(sys.argv[0]).suffix == ".py":
        return text
    found = entry_points(group="console_scripts")
    names = {entry.module: entry.name for entry in found if entry.name.startswith(COMMAND)}
    return re.sub(r"python (\w+)\.py", lambda script: names.get(script[1], script[0]), text)


class Parser(argparse.ArgumentParser):
    """A parser that takes --key value, --key=value and key=value alike, with - or _ in the key.

    A slip is refused in one line, with the nearest name.
    """

    def __init__(self, description: str, epilog: str | None = None):
        super().__init__(
            description=_respell_commands(description),
            epilog=epilog and _respell_commands(epilog),
            formatter_class=Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="help", help="Show this text, and do nothing else.")

    def share(self, *flags: str, **changes) -> None:
        """Add options of SHARED by their flags; `changes` are what this script says otherwise of one."""
        for flag in flags:
            self.add_argument(flag, **SHARED[flag] | changes)

    def parse_args(self, args=None, namespace=None):
        arguments = self._respell(sys.argv[1:] if args is None else list(args))
        found, rest = self.parse_known_intermixed_args(arguments, namespace)
        for argument in rest:
            self._refuse(argument)
        return found

    def format_help(self):
        wanted = [a.metavar if a.required else f"[{a.metavar}]" for a in self._get_positional_actions()]
        self.usage = " ".join([self._command(), *wanted, "[OPTION ...]"])
        return super().format_help()

    def error(self, message):
        self.exit(2, f"error: {message}; {self._command()} --help lists what there is\n")

    def _command(self) -> str:
        return f"python {self.prog}" if self.prog.endswith(".py") else self.prog

    def _respell(self, arguments: list[str]) -> list[str]:
        """The arguments with every option as --key or --key=value."""
        spelt, is_value = [], False
        for place, argument in enumerate(arguments):
            if argument == "--":
                return spelt + arguments[place:]
            if is_value:
                # "--key.PART=part=" still lacks its text
                spelt[-1:] = [spelt[-1] + argument] if spelt[-1].endswith("=") else [spelt[-1], argument]
                is_value = False
                continue
            name, equals, value = argument.partition("=")
            flag, part = self._flag(name), ""
            if flag not in self._option_string_actions and "." in name:
                family, _, part = name.partition(".")
                flag = self._flag(family) + PART
            action = self._option_string_actions.get(flag)
            flag += f"={part}" * bool(part)
            bare = not name.startswith("-")
            if action is None or bare and not equals:
                if bare and equals and re.fullmatch(r"[A-Za-z][\w.-]*", name) and not Path(argument).exists():
                    self._refuse(argument)
                spelt.append(argument)
            elif action.nargs == 0 and equals:  # a switch, which argparse lets nobody turn off
                spelt += [flag] * self._read_switch(flag, value)
            else:
                spelt.append(f"{flag}={value}" if equals or "=" in flag else flag)
                is_value = action.nargs is None and not equals
        return spelt

    def _read_switch(self, flag: str, text: str) -> bool:
        try:
            return read_value(flag, text, bool)
        except ValueError as error:
            self.error(str(error))

    def _flag(self, name: str) -> str:
        return name if re.fullmatch("-[^-].*", name) else "--" + name.lstrip("-").replace("_", "-")

    def _refuse(self, argument: str) -> None:
        name, equals, _ = argument.partition("=")
        if not (equals or argument.startswith("-")):
            self.error(f"{argument!r} is one argument too many")
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        if "." in name:
            flags = [re.sub(rf"\{PART}$", f".{name.partition('.')[2]}", flag) for flag in flags]
        self.error(f"there is no option {name!r}{nearest(self._flag(name), flags)}")


RESUMES = "stopped; the same command resumes"
LEFT_NOTHING = "stopped; nothing was written"


class Stopped(SystemExit):
    """Ctrl-C or SIGTERM, with the exit code by which shells know it."""


def entry_point(after_stop: str):
    """Make a function a script's main: how it ends is one line, and an exit code.

    A user's mistake (ValueError, OSError) ends it with "error: ..." and 1, Ctrl-C with `after_stop` and 130,
    SIGTERM with the same and 143. A second signal ends it at once.
    """

    def decorate(main):
        @wraps(main)
        def run():
            if threading.current_thread() is threading.main_thread():  # Python allows it there alone
                _stop_once(os.getpid())
            try:
                main()
            except (Stopped, KeyboardInterrupt) as stop:
                # of several processes of one run, one speaks
                if os.environ.get("LOCAL_RANK", "0") == "0":
                    end_line()
                    print(f"\n{after_stop}", file=sys.stderr, flush=True)
                sys.exit(stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT)
            except (OSError, ValueError) as error:
                end_line()
                said = str(error).strip() or type(error).__name__
                if "Traceback (most recent call last)" in said:  # before the message of another process
                    said = said.splitlines()[-1].removeprefix("ValueError: ")
                sys.exit(f"error: {said}")

        return run

    return decorate


def _stop_once(process: int) -> None:
    stopping = []

    def stop(number, frame):
        if stopping or os.getpid() != process:  # nothing is to be said by a process of this one's
            os._exit(128 + number)
        stopping.append(number)
        raise Stopped(128 + number)

    def stop_again(unraisable):
        if isinstance(unraisable.exc_value, Stopped):
            stopping.clear()
            threading.Timer(0.02, send, [unraisable.exc_value.code - 128]).start()
        else:
            say(unraisable)

    def send(number):
        if hasattr(signal, "pthread_kill"):  # which wakes a main thread that sleeps
            signal.pthread_kill(threading.main_thread().ident, number)
        else:
            _thread.interrupt_main(number)

    # a signal may come where Python ignores exceptions: in a __del__, in a weak reference's callback
    say, sys.unraisablehook = sys.unraisablehook, stop_again
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
