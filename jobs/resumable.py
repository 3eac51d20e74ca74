"""How scripts whose same command resumes end when they are told to."""

import os
import signal
import sys

GRACE = 120  # seconds that a process which loads pictures goes on for after SIGTERM


def resumable() -> None:
    """From now on leave on Ctrl-C or SIGTERM with a word and the exit code that says so: 130, 143."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number, _):
    # of several processes of one run, one speaks
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print("\nstopped; the same command resumes", file=sys.stderr, flush=True)
    sys.exit(128 + number)


def outlive_signals(worker: int):
    """For the start of a process that loads pictures: signals to a whole group leave the step its batches.

    A process that hangs ends all the same, some time after SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # not on Windows, which has no such signals to groups either
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
