"""What the server keeps of each visitor: the pictures made, in a folder that goes when the visitor does."""

import secrets
import shutil
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from threading import Event, Lock
from typing import NamedTuple

from demo.session_sheet import draw_session_sheet, is_drawn

MAX_SESSIONS, MAX_PICTURES = 64, 200


class Picture(NamedTuple):
    """A PNG to be kept under the name `stem`, which begins with "seed_" if it was drawn, and its caption."""

    stem: str
    content: bytes
    caption: str


class Session:
    """One visitor's folder, what is in it, and the wish to stop.

    `pictures` are (file, caption), the oldest first, at most 200. Names of files are the session's own.
    """

    def __init__(self, folder: Path):
        self.folder, self.pictures, self.cancelled, self._requests, self._files = folder, [], Event(), 0, 0
        self.stopped = False  # by the visitor, the request that was begun last
        self.shown = []  # (file, caption) of the results that the page shows
        self.at_work = 0  # requests that are being drawn
        self._changing = Lock()  # of the pictures: a zip is made while others are drawn

    def begin(self, given: list[Picture]) -> list[tuple[Path, str]]:
        """Start a request of given pictures, which are kept before those that are drawn of them."""
        self.cancelled, self.stopped = Event(), False
        self._requests += 1
        return self.keep(given)

    def stop(self) -> None:
        """End the request that is running, as its visitor wishes."""
        self.stopped = True
        self.cancelled.set()

    def summarize(self) -> str:
        """How it stands, in a sentence or two."""
        drawn = sum(is_drawn(file) for file, _ in self.pictures)
        return "Cancelled. " * self.stopped + f"{drawn} picture{'s' * (drawn != 1)} in this session."

    def still_shown(self) -> list[tuple[Path, str]]:
        """What the page shows of earlier requests, as far as it is kept."""
        return [picture for picture in self.shown if picture[0].exists()]

    def keep(self, pictures: list[Picture]) -> list[tuple[Path, str]]:
        """(file, caption) of pictures of the request that was begun last."""
        return [self._keep(f"{self._requests:04d}_{p.stem}.png", p.content, p.caption) for p in pictures]

    def write(self, stem: str, suffix: str, content: bytes) -> Path:
        """A file to be fetched, numbered, as a browser takes equal names for the same file."""
        self._files += 1
        path = self.folder / f"{stem}_{self._files}{suffix}"
        path.write_bytes(content)
        return path

    def archive(self) -> Path:
        """A zip of all pictures and a sheet that shows them; ValueError where there are none."""
        if not self.pictures:
            raise ValueError("There are no pictures yet: generate some, then download them.")
        for old in self.folder.glob("pictures_*.zip"):
            old.unlink()
        path = self.write("pictures", ".zip", b"")
        with self._changing, zipfile.ZipFile(path, "w") as archive:  # PNG does not get smaller
            for file, _ in self.pictures:
                archive.write(file, file.name)
            archive.writestr("sheet.png", draw_session_sheet(self.pictures))
        return path

    def _keep(self, name, content, caption):
        path = self.folder / name
        path.write_bytes(content)
        with self._changing:
            self.pictures.append((path, caption))
            while len(self.pictures) > MAX_PICTURES:
                self.pictures.pop(0)[0].unlink(missing_ok=True)
        return path, caption


class Sessions:
    """Sessions by the key that a browser gives itself, in folders below `root`.

    Of too many, those of programs that give no key go first, which nobody can ask for again, then the longest
    unused; one whose request is being drawn stays.
    """

    def __init__(self, root: Path | None = None):
        self._root = TemporaryDirectory(prefix="garments_", dir=root)
        self._lock, self._sessions, self._keyless = Lock(), OrderedDict(), set()

    def of(self, key: str | None) -> Session:
        """The session of a key; a new one for a program that gives none."""
        with self._lock:
            return self._get(key)

    @contextmanager
    def working(self, key: str | None):
        """The session of a key, which is not ended for others' sake as long as the context lasts."""
        with self._lock:
            session = self._get(key)
            session.at_work += 1
        try:
            yield session
        finally:
            with self._lock:
                session.at_work -= 1

    def end(self, key: str | None) -> None:
        """The visitor has left: what runs is stopped, what was kept is deleted."""
        with self._lock:
            if key in self._sessions:
                self._remove(key)

    def _get(self, key):
        if not key:
            key = secrets.token_hex()
            self._keyless.add(key)
        if key not in self._sessions:
            # not named by the key, which a stranger chooses
            self._sessions[key] = Session(Path(mkdtemp(dir=self._root.name)))
        self._sessions.move_to_end(key)
        idle = [k for k, session in self._sessions.items() if k != key and not session.at_work]
        idle.sort(key=lambda k: k not in self._keyless)  # the longest unused first in both halves
        for other in idle[: max(0, len(self._sessions) - MAX_SESSIONS)]:
            self._remove(other)
        return self._sessions[key]

    def _remove(self, key):
        self._keyless.discard(key)
        session = self._sessions.pop(key)
        session.cancelled.set()
        shutil.rmtree(session.folder, ignore_errors=True)
