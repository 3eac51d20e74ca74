"""Run jobs here or in processes."""

import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, which stops its processes, and end when it has been killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    wait([parent_process().sentinel])
    os._exit(1)
