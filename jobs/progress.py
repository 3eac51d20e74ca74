"""How far a long job is, how fast it goes, and how long it will still take: one line of a terminal."""

import shutil
import sys
import time
import unicodedata

SECONDS_BETWEEN_LINES = 10.0
SECONDS_IN_PLACE = 0.2
SHORTEST_NAME = 12  # columns of a name that gives way to the numbers behind it


class Progress:
    """Prints "training/fashion: 640 of 45,195 photos, 31.2/s, 24 min left".

    On a terminal each line takes the place of the one before, and the terminal's width at that moment, so
    that it never wraps. Elsewhere there is a line every ten seconds.

    Args:
        name: of the job; where the line is too wide, its beginning gives way first. None needs to be given.
        total: of what is counted, in `unit`; `done` of them were there before, and say nothing of the rate.
    """

    open_line = False  # whether a terminal's cursor stands behind a line of progress

    def __init__(self, name: str, total: int, unit: str, done: int = 0):
        self.name, self.total, self.unit = name, total, unit
        self.before = self.done = done
        self.start, self.last = time.monotonic(), None
        self.in_place = sys.stdout.isatty()

    def add(self, count: int, note=None) -> None:
        """Count some more, and say so if that is due: the first, the last, and now and then.

        `note` is called for a text to add to the line, when there is a line: it may take its time.
        """
        self.done += count
        now, finished = time.monotonic(), self.done >= self.total
        pause = SECONDS_IN_PLACE if self.in_place else SECONDS_BETWEEN_LINES
        if finished or self.last is None or now - self.last >= pause:
            self.last = now
            self._show(self.describe(now - self.start) + (f", {note()}" if note else ""), finished)

    def describe(self, seconds: float) -> str:
        """What is done, the rate since the start, and the time left at that rate."""
        rate = (self.done - self.before) / max(seconds, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        rest = f", {duration(left)} left" if self.done < self.total else f" in {duration(seconds)}"
        return f"{self.done:,} of {self.total:,} {self.unit}, {rate:.1f}/s{rest}"

    def _show(self, text: str, finished: bool) -> None:
        if not self.in_place:
            say(f"{self.name}: {text}" if self.name else text)
            return
        # a terminal whose last column is written to may already have gone on to the next line
        columns = shutil.get_terminal_size().columns - 1
        line = fit(self.name, text, columns)
        print("\r" + line + " " * (columns - width(line)), end="\n" if finished else "", flush=True)
        Progress.open_line = not finished


def end_line() -> None:
    """Go on below a line of progress, where one stands on the terminal."""
    if Progress.open_line:
        print(flush=True)
    Progress.open_line = False


def say(*texts) -> None:
    """Print texts, below a line of progress."""
    end_line()
    print(*map(printable, texts), flush=True)


def fit(name: str, text: str, columns: int) -> str:
    """ "name: text", no wider than a terminal's columns; the name's beginning gives way first."""
    name, text = (printable(part).replace("\n", " ") for part in (name, text))
    room = max(columns - width(text) - 2, min(SHORTEST_NAME, width(name)))
    return cut(f"{cut(name[::-1], room)[::-1]}: {text}" if name else text, columns)


def cut(text: str, columns: int) -> str:
    """The text, or as much of it as leaves room for "..." in so many columns of a terminal."""
    if width(text) <= columns:
        return text
    dots = "..."[: max(columns, 0)]
    kept = ""
    for letter in text:
        if width(kept + letter) + len(dots) > columns:
            break
        kept += letter
    return kept + dots


def width(text: str) -> int:
    """How many columns of a terminal a text takes: two for Chinese signs and the like, none for accents."""
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 1 + (unicodedata.east_asian_width(letter) in "WF")


def printable(text) -> str:
    """The text with a question mark for what would move the cursor, or what the output can't spell."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))
    return text.encode(encoding, "replace").decode(encoding)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 24 min, 3 h 20 min, 12 days."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes / 1440:,.0f} days"
