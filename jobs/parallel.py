"""Run jobs here or in processes, which leave signals to the process that has started them."""

import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MOST_WORKERS = 16  # beyond them, disks and memory are what a job waits for
GRACE = 120  # seconds that a process which loads pictures goes on for after SIGTERM


def default_workers() -> int:
    """How many processes a job has that is told no number: one for each core, 16 at most."""
    return min(num_cores(), MOST_WORKERS)


def run_jobs(function, jobs, workers: int = 1):
    """Yield function(*job) for every job, in order; workers > 1 runs that many processes.

    The function must be importable by name: processes are spawned, which works alike on every system. They
    end with this one, however it ends, and at once if the caller stops or a job fails.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        for job in jobs:
            yield function(*job)
        return
    jobs, others = iter(jobs), active_children()
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_follow_parent)
    try:
        # only a few jobs are on their way at a time, so that memory stays bounded
        with signals_held_back():
            running = deque(pool.submit(function, *job) for job in islice(jobs, 4 * workers))
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(function, *job) for job in islice(jobs, 1))
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"one of {workers} processes ended unexpectedly, perhaps for want of memory: "
            "fewer workers need less"
        ) from error
    except BaseException:
        for child in active_children():
            if child not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


STOPS = signal.SIGINT, signal.SIGTERM


@contextmanager
def signals_held_back():
    """Around the start of processes: this one hears Ctrl-C and SIGTERM afterwards, when they are complete.

    They inherit that they hear neither, so that Ctrl-C, which reaches them too, finds them deaf from their
    first moment.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, which stops its processes, and end when it has been killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    wait([parent_process().sentinel])
    os._exit(1)


def outlive_signals(worker: int):
    """For the start of a process that loads pictures: signals to a whole group leave the step its batches.

    A process that hangs ends all the same, some time after SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # not on Windows, which has no such signals to groups either
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
