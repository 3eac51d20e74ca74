"""How the tests run, alone or in several processes beside each other, and what they share."""

import os
import random
import signal
import sys
from functools import cache
from pathlib import Path

import pytest

# small models are fastest on one thread, and the number of threads is read when torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHORT = "jobs", "ldm", "pictures"  # rooms whose modules take seconds


def pytest_collection_modifyitems(items):
    """Short modules come last, so that processes end together."""
    items.sort(key=lambda item: item.path.parent.name in SHORT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Random numbers begin anew for each test, and what a script's main() makes of signals ends with it."""
    seed_all()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    unraisable = sys.unraisablehook
    try:
        return (yield)
    finally:
        sys.unraisablehook = unraisable
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    """Once more after the fixtures, of which a module's first test may have drawn more than the others."""
    seed_all()


def seed_all():
    import numpy as np
    import torch

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A module's tests run in one process, as do all that visit one server: all is built once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            module = nodeid.split("::")[0]
            return visits_server(config.rootpath / module) or module

    config.option.loadscopereorder = False
    return ByModule(config, log)


@cache
def visits_server(module: Path) -> str | None:
    """The fixture of the server that a module's tests visit."""
    text = module.read_text(encoding="utf-8")
    return next((name for name in ("demo_server", "room_server") if f"({name}" in text), None)


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory):
    """The demo's script in a process of its own, as demo_server.Served."""
    from demo_server import serving

    with serving(tmp_path_factory.mktemp("server")) as served:
        yield served


@pytest.fixture(scope="session")
def room_server(tmp_path_factory):
    """The fitting room's script in a process of its own, as demo_server.Served."""
    from tryon_server import serving_room

    with serving_room(tmp_path_factory.mktemp("room")) as served:
        yield served


@pytest.fixture
def gpu():
    """A pretended GPU, as the docstring of pretended_gpu says; its device."""
    from pretended_gpu import pretended_gpu

    with pretended_gpu() as device:
        yield device
