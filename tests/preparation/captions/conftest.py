"""What tests of captions share: a captioner that needs no weights, known by its name."""

import pytest

from caption_folder import Stub, register


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    register(monkeypatch)
    Stub.batches = []
