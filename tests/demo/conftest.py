"""What tests of the demo share: a small Demo and its page's inputs, one for each module."""

import pytest

from demo_pictures import Page
from demo_requests import small_demo


@pytest.fixture(scope="module")
def demo():
    return small_demo()


@pytest.fixture(scope="module")
def page(demo):
    return Page(demo)


@pytest.fixture
def path(tmp_path):
    """Where a test writes its picture."""
    return tmp_path / "picture.png"
