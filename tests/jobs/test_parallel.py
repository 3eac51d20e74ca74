"""Jobs in processes: in order, and never silently lost."""

import os

import pytest

from jobs.parallel import run_jobs


def test_results_come_in_the_order_of_the_jobs():
    assert list(run_jobs(pow, ((number, 2) for number in range(40)), 2)) == [n**2 for n in range(40)]


def test_an_error_in_a_process_is_an_error_here():
    with pytest.raises(ZeroDivisionError):
        list(run_jobs(divmod, [(1, 1), (1, 0)], 2))


def test_a_process_that_dies_is_an_error_with_a_remedy():
    with pytest.raises(ChildProcessError, match="fewer workers need less"):
        list(run_jobs(os._exit, [(1,)], 2))


def test_at_least_one_worker_is_wanted():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        list(run_jobs(pow, [(1, 1)], 0))
