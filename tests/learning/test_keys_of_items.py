"""A yaml whose keys no item has is told before the first step, with key and file."""

import pytest

from learning.build import check_keys
from small import small_model


@pytest.mark.parametrize("key", ["control_key", "first_stage_key", "cond_stage_key"])
def test_a_key_that_no_item_has_is_told(key):
    item = dict(jpg=0, txt="", hint=0)
    check_keys(small_model(), item, "x.yaml")
    model = small_model(**{key: "map"})
    with pytest.raises(
        ValueError, match=f"x.yaml: {key} is 'map', but the items of the data have jpg, txt, hint"
    ):
        check_keys(model, item, "x.yaml")


def test_items_that_were_encoded_before_need_no_picture():
    check_keys(small_model(), dict(moments=0, txt="", hint=0), "x.yaml")
