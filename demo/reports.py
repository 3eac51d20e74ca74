"""What a request reports while it is drawn: steps and finished pictures, shown as they come."""

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread

import numpy as np

PREVIEWS = 4  # a request and picture


@dataclass
class Step:
    """`done` of `total` steps; `preview` uint8 (H, W, 3) shows the first picture so far, if not None."""

    done: int
    total: int
    preview: np.ndarray | None = None


def report_steps(report: Callable, before: int, total: int, steps: int, decode: Callable | None):
    """A sampler's callback that reports a Step each time, of which a few show what is there so far.

    Args:
        before: steps of `total` that were done before it samples, which takes `steps`.
        decode: the sampler's estimate of the first picture (1, c, h, w) -> uint8 (H, W, 3); None shows none.
    """
    every = max(1, steps // (PREVIEWS + 1))

    def report_step(state):
        done, preview = state["i"] + 1, None
        if decode and done % every == 0 and done < steps:
            preview = decode(state["pred_x0"][:1])
        report(Step(done=before + done, total=total, preview=preview))

    return report_step


def show_reports(session, work: Callable, progress, given: list, keep: Callable, before: list):
    """Yield what a gallery shows while `work(report)` draws: Steps as previews, all else as pictures.

    Args:
        session: of demo.session, whose `cancelled` ends the work; its `shown` is what is there at last.
        progress: gradio's.
        given: (file, caption) of what is shown before any picture.
        keep: called with what is reported that is no Step; gives all that is to be shown by now.
        before: what is shown again where the work fails before any picture.
    """
    shown = given
    try:
        for told in stream_reports(work, session.cancelled):
            if isinstance(told, Step):
                progress((told.done, told.total), desc="Drawing", unit="steps")
                if told.preview is not None:
                    yield [*shown, (told.preview, f"preview after {told.done} of {told.total} steps")]
            else:
                shown = session.shown = keep(told)
                yield shown
    except Cancelled:
        yield shown
    except Exception:
        yield shown if shown is not given else before  # no preview is left of what comes to nothing
        raise


REPORT, DONE, FAILED = range(3)


class Cancelled(Exception):
    """Somebody has asked to stop."""


def stream_reports(work, cancelled: Event):
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
