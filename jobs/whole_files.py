"""Files that are there whole or not at all, and folders that one process at a time may write to."""

import os
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def write_atomically(path, content, lasting=False) -> None:
    """Write a file, or a folder, beside its place and move it there once it is complete.

    Args:
        content: bytes, or a function that makes a file or a folder of the path that it is called with, which
            has the name of `path` and another parent.
        lasting: for a file that hours of work went into: it is on the disk before it takes the former one's
            place, and others may read it as they may any new file, whatever its writer has set.

    Raises:
        OSError: with the name of `path`; what was there before stays.
    """
    path = Path(path)
    # the file's name may be as long as a name can be, and begin as that of another thread's file does; none
    # of its ending, so that who looks for pictures does not find what a killed process has left
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{get_ident()}.tmp")
    try:
        if callable(content):
            temporary.mkdir()
            content(temporary / path.name)
            if lasting:
                _make_last(temporary / path.name)
            _move(temporary / path.name, path)
        else:
            temporary.write_bytes(content)
            os.replace(temporary, path)
    except OSError as error:
        # a full disk's error names no file of its own
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        _remove(temporary)


def _make_last(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.touch()
    shutil.copymode(fresh, path)  # safetensors would let nobody else read it
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _move(made: Path, path: Path) -> None:
    """Put what was made in its place; a folder can't be moved over another, which steps aside first."""
    if not (made.is_dir() and path.is_dir()):
        os.replace(made, path)
        return
    former = made.with_name("former")
    os.replace(path, former)
    try:
        os.replace(made, path)
    except OSError:
        os.replace(former, path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what a killed `write_atomically` left in a folder; nobody may be writing there."""
    for path in Path(folder).glob(".*.tmp"):
        _remove(path)


BUSY = "is being written by another run: wait for it, or stop it"


@contextmanager
def alone_in(folder: Path, patience: float = 0, busy: str = BUSY):
    """Be the only process that has this folder; ValueError if another one has. A killed one has nothing.

    Args:
        patience: for how many seconds another one is waited for.
        busy: what the error says behind the folder's name.
    """
    if fcntl is None:
        yield
        return
    held = [os.open(folder, os.O_RDONLY)]

    def let_go():
        while held:
            os.close(held.pop())

    # a process of this one's may outlive it by seconds, and would keep the folder meanwhile
    os.register_at_fork(after_in_child=let_go)
    try:
        # some network file systems have no locks
        with suppress(OSError):
            _lock(held[0], time.monotonic() + patience, f"{folder} {busy}")
        yield
    finally:
        let_go()


def _lock(handle: int, deadline: float, refusal: str) -> None:
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ValueError(refusal) from error
            time.sleep(0.1)


def first_line(error):
    """ "OSError: what it says", the first 120 characters of its first line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]
