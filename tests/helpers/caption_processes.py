"""Runs in processes of their own, to be stopped at a known place."""

import os
import socket
import sys
import time
from contextlib import contextmanager


def forked(function, **environment):
    """The id of a process that does this, without the seconds that importing Lightning takes."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.environ.update({name: str(value) for name, value in environment.items()})
        function()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        code = 1
    os._exit(code)


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for_records(folder, number, has_ended):
    """Wait until so many records are there; an error once `has_ended()`, or after ten minutes."""
    deadline = time.monotonic() + 600
    while sum(part.read_bytes().count(b"\n") for part in folder.glob("captions/stub/part-*")) < number:
        if has_ended() or time.monotonic() > deadline:
            raise TimeoutError(f"{folder} has no {number} records")
        time.sleep(0.02)


def is_gone(child):
    """Whether a forked process has ended; `ended` can still ask for its exit code."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextmanager
def free_port():
    """A port of this machine that nobody else is given meanwhile."""
    with socket.socket() as held:
        # a server that sets this too, as torch's does, may listen beside a socket that only holds the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        yield held.getsockname()[1]
