"""What tests of pages share: a small Demo and its page's inputs, and a browser, one for each module."""

import os

import pytest

from demo_pictures import Page
from demo_requests import small_demo
from demo_server import CHROMIUM, QUIET


@pytest.fixture(scope="module")
def demo():
    return small_demo()


@pytest.fixture(scope="module")
def page(demo):
    return Page(demo)


@pytest.fixture(scope="module")
def browser():
    """A headless chromium, as playwright drives it."""
    if CHROMIUM is None:
        reason = "no chromium: install Debian's packages chromium and fonts-dejavu-core"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from browser_visit import launched

    with launched(CHROMIUM, QUIET.split()) as browser:
        yield browser


@pytest.fixture
def path(tmp_path):
    """Where a test writes its picture."""
    return tmp_path / "picture.png"
