"""Files that are there whole or not at all."""

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes through a temporary file in the same folder, so that a reader never sees half a file."""
    path = Path(path)
    # the file's name may be as long as a name can be, and begin as that of another thread's file does
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{get_ident()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        # a full disk's error names no file of its own
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what a killed `write_atomically` left in a folder; nobody may be writing there."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path, patience: float = 0):
    """Be the only process that has this folder; ValueError if another one has. A killed one has nothing.

    `patience`: for how many seconds another one is waited for.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # some network file systems have no locks
        with suppress(OSError):
            _lock(handle, folder, time.monotonic() + patience)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ValueError(
                    f"{folder} is being written by another run: wait for it, or stop it"
                ) from error
            time.sleep(0.1)


def first_line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]
