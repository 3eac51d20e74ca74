"""What tests of tool_generate.py share: a folder of maps for each module, and the tool on it."""

import pytest

from small_maps import command_line, write_maps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of write_maps."""
    return write_maps(tmp_path_factory.mktemp("maps"))


@pytest.fixture
def draw(folder, monkeypatch):
    """draw(out, *arguments) runs the tool, see command_line."""
    return command_line(folder, monkeypatch)
