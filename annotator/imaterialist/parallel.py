"""Run jobs here or in processes."""

from collections import deque
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context


def run_jobs(function, jobs, workers: int = 1):
    """Yield function(*job) for every job, in order; workers > 1 runs that many processes.

    The function must be importable by name: processes are spawned, which works alike on every system.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        for job in jobs:
            yield function(*job)
        return
    jobs = iter(jobs)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # only a few jobs are on their way at a time, so that memory stays bounded
        running = deque(pool.submit(function, *job) for job in islice(jobs, 4 * workers))
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(function, *job) for job in islice(jobs, 1))
