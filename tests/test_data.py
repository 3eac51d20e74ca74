"""The order of pictures depends on seed and epoch alone, and ranks share it."""

import pytest

from cldm.data import SeededBatches


def test_an_epoch_shows_every_picture_once_and_only_whole_steps():
    batches = SeededBatches(23, batch_size=2, seed=1, accumulate=2)
    seen = [i for batch in batches for i in batch]
    assert len(batches) == 10 and len(set(seen)) == len(seen) == 20
    assert seen == [i for batch in batches for i in batch]
    batches.set_epoch(1)
    assert seen != [i for batch in batches for i in batch]


def test_ranks_share_an_epoch_without_overlap():
    ranks = [SeededBatches(16, 2, rank=rank, world_size=2) for rank in range(2)]
    seen = [i for batches in ranks for batch in batches for i in batch]
    assert sorted(seen) == list(range(16))


def test_too_few_pictures_for_one_step_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="lower batch_size or accumulate"):
        SeededBatches(7, batch_size=4, accumulate=2)
