"""Work shared among the processes of a run, and brought together again; in one process nothing happens."""

from contextlib import contextmanager

from pytorch_lightning.utilities import rank_zero_only
from torch import distributed

from jobs import progress
from jobs.whole_files import first_line

say = rank_zero_only(progress.say)


def world() -> tuple[int, int]:
    """(rank of this process, number of processes)."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


@contextmanager
def explain_lost_process():
    """Around what all processes do: makes the sudden end of another one an error of one line."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "/gloo/" not in str(error):
            raise
        raise ChildProcessError(
            f"another process of this run has ended or does not answer, see what it said; killed without a "
            f"word it has often wanted too much memory ({first_line(error)})"
        ) from error


def part_of(items: list) -> list:
    """This process's share of items that all know: every n-th, beginning with its rank."""
    rank, size = world()
    return list(items[rank::size])


def from_all(value) -> list:
    """What each process gives (anything that can be pickled), by rank, for all of them."""
    size = world()[1]
    values = [value] * size
    if size > 1:
        distributed.all_gather_object(values, value)
    return values


def gathered(part: list) -> list:
    """The parts that `part_of` made, joined in the order of the items: for all processes.

    All must call it at the same place, with nothing in their part if need be.
    """
    parts = from_all(part)
    size = len(parts)
    return [parts[i % size][i // size] for i in range(sum(map(len, parts)))]
