"""One line of the terminal that says how far a long job is."""

import math
import sys
import time

LINE_EVERY = 10.0  # seconds between lines where there is no terminal


class StatusLine:
    """Writes a line over the one before on a terminal, elsewhere a new one every ten seconds.

    The first is due at once, or after that time.
    """

    def __init__(self, at_once=False):
        self.start = time.monotonic()
        self.last = -math.inf if at_once else self.start
        self.in_place = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Since this was made."""
        return time.monotonic() - self.start

    def due(self) -> bool:
        return time.monotonic() - self.last >= (0.5 if self.in_place else LINE_EVERY)

    def show(self, text: str):
        self.last = time.monotonic()
        print(f"\r{text:<100}" if self.in_place else text, end="" if self.in_place else "\n", flush=True)

    def finish(self, text: str):
        """The last line, which stays."""
        self.show(text)
        if self.in_place:
            print(flush=True)


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
