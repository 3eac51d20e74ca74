"""Work that reports while it is done, and that can be stopped."""

from queue import SimpleQueue
from threading import Event, Thread

REPORT, DONE, FAILED = range(3)


class Cancelled(Exception):
    """Somebody has asked to stop."""


def streamed(work, cancelled: Event):
    """Yield what `work(report)` reports, each as soon as it is there; raise what it raises.

    It runs in a thread of its own. Once `cancelled` is set, or the generator closed, `report` raises
    Cancelled in it; the generator has ended only when the work has.
    """
    reports = SimpleQueue()

    def report(value):
        if cancelled.is_set():
            raise Cancelled
        reports.put((REPORT, value))

    def run():
        try:
            work(report)
            reports.put((DONE, None))
        except BaseException as error:  # raised again below, in the thread that waits for it
            reports.put((FAILED, error))

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = reports.get()
            if kind == FAILED:
                raise value
            if kind == DONE:
                return
            yield value
    finally:
        cancelled.set()
        thread.join()
