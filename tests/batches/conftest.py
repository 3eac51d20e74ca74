"""What tests of what is cached share: a small model to begin with, one for each module."""

import pytest

from small_data import write_base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A yaml and weights of the small model, as --model and --base take them."""
    return write_base(tmp_path_factory.mktemp("base"))
