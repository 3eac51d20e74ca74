"""How far a long job is, how fast it goes, and how long it will still take."""

import math
import sys
import time

SECONDS_BETWEEN_LINES = 10


class Progress:
    """Prints "training/fashion: 640 of 45195 photos, 31.2/s, 24 min left", in place on a terminal.

    Args:
        total: of what is counted; `done` of them were there before, and say nothing of the rate.
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0):
        self.name, self.total, self.unit = name, total, unit
        self.before = self.done = done
        self.start = self.last = time.monotonic()
        self.in_place = sys.stdout.isatty()

    def add(self, count: int) -> None:
        """Count some more, and say so if that is due: the first, the last, and now and then."""
        self.done += count
        now = time.monotonic()
        first, finished = self.done - count == self.before, self.done >= self.total
        if self.in_place or first or finished or now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            text = f"{self.name}: {self.describe(now - self.start)}"
            end = "\n" if finished or not self.in_place else ""
            print(f"\r{text:<78}" if self.in_place else text, end=end, flush=True)

    def describe(self, seconds: float) -> str:
        """What is done, the rate since the start, and the time left at that rate."""
        rate = (self.done - self.before) / max(seconds, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        rest = f", {duration(left)} left" if self.done < self.total else f" in {duration(seconds)}"
        return f"{self.done} of {self.total} {self.unit}, {rate:.1f}/s{rest}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 24 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


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


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
