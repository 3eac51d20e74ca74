"""Who is in the pictures that were drawn for a visitor: to compare with, and to try on what comes next."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np

from demo.session import MAX_PICTURES
from demo.tryon.drawing import DrawnFitting
from demo.tryon.room import Framed


@dataclass(frozen=True)
class Known:
    """A drawn picture's person, and what they looked like before, uint8 (H, W, 3)."""

    person: Framed
    before: np.ndarray


class Fitted:
    """The newest drawn pictures of each session; they go with it."""

    def __init__(self):
        self._lock, self._known = Lock(), WeakKeyDictionary()

    def keep(self, session, kept: list, drawn: list[DrawnFitting]) -> None:
        """Remember who is in pictures (file, caption) that a session keeps."""
        with self._lock:
            known = self._known.setdefault(session, OrderedDict())
            for (file, _), fitting in zip(kept, drawn, strict=True):
                known[file.name] = Known(fitting.person, fitting.before)
            while len(known) > MAX_PICTURES:
                known.popitem(last=False)

    def find(self, session, digest: str) -> Framed | None:
        """The person of a picture whose pixels have this digest."""
        with self._lock:
            known = list(self._known.get(session, {}).values())
        return next((k.person for k in reversed(known) if k.person.offer.digest == digest), None)

    def of_file(self, session, name: str) -> Known | None:
        """What is known of the picture of a session's file; None of a sheet, for example."""
        with self._lock:
            return self._known.get(session, {}).get(name)
