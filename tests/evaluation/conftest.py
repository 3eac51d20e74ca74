"""What tests of tool_evaluate.py share: the tool on the `folder` of their module."""

import pytest

from small_evaluation import command_line


@pytest.fixture
def evaluate(folder, monkeypatch):
    """evaluate(out, *arguments) runs the tool, see command_line."""
    return command_line(folder, monkeypatch)
