"""Small models are fastest on one thread, and the number of threads is read when torch is imported."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory):
    """The demo's script in a process of its own, as demo_server.Served."""
    from demo_server import serving

    with serving(tmp_path_factory.mktemp("server")) as served:
        yield served


@pytest.fixture
def gpu():
    """A pretended GPU, as the docstring of pretended_gpu says; its device."""
    from pretended_gpu import pretended_gpu

    with pretended_gpu() as device:
        yield device
