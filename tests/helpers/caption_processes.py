"""Runs in processes of their own, to be stopped at a known place."""

import os
import sys
import time


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


def wait_for_records(folder, number):
    for _ in range(10000):
        if sum(part.read_bytes().count(b"\n") for part in folder.glob("captions/stub/part-*")) >= number:
            return
        time.sleep(0.02)
    raise TimeoutError(f"{folder} has no {number} records")
