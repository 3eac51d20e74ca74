"""What tests of tool_annotate.py share: a folder of photos for each module, and the tool."""

import pytest

from annotated import command_line, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The folder of write_photos."""
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture
def annotate(monkeypatch):
    """annotate(*arguments) runs the tool."""
    return command_line(monkeypatch)
