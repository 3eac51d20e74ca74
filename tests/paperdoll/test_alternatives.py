"""Redrawn alternatives: one attribute changed, and the truth told from all others."""

import numpy as np

from paperdoll.alternatives import nearest, redraw, vary
from paperdoll.tryon import arrange


def test_alternatives_differ_from_the_garment_in_one_attribute():
    for index in range(12):
        garment = arrange(0, index).garment
        for name, copies in vary(garment).items():
            assert copies[0] == garment and len(set(map(repr, copies))) == len(copies) >= 3
            for copy in copies[1:]:
                own, other = vars(garment) | vars(garment.fabric), vars(copy) | vars(copy.fabric)
                changed = [key for key in own if own[key] != other[key] and key != "fabric"]
                assert len(changed) == 1, (name, changed)


def test_the_truth_is_nearest_to_its_own_slightly_noisy_picture():
    rng = np.random.default_rng(0)
    for index in range(6):
        fitting = arrange(0, index)
        mask = fitting.agnostic_mask()
        for name, pictures in redraw(fitting).items():
            noisy = pictures[0] + rng.normal(0, 12, pictures[0].shape)
            assert nearest(noisy, pictures, mask) == 0, name
