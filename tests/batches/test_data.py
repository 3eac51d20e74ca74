"""The order of pictures depends on seed, epoch and step alone, ranks share it, and no step mixes sizes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from batches.augment import Draw, FlippedItems
from batches.loader import SeededBatches, TrainingData, bucket_text, collate
from ldm.modules.diffusionmodules.util import ROW_SEED

WIDE, TALL, RARE = (512, 512), (768, 512), (512, 768)
SIZES = [WIDE] * 40 + [TALL] * 23 + [RARE] * 3 + [None] * 9


def seen(batches):
    return [draw.index for batch in batches for draw in batch]


def mirrored(batches):
    return {draw.index: draw.mirrored for batch in batches for draw in batch}


def test_an_epoch_shows_every_picture_once_and_only_whole_steps():
    batches = SeededBatches(23, batch_size=2, seed=1, accumulate=2)
    shown = seen(batches)
    assert len(batches) == 10 and len(set(shown)) == len(shown) == 20
    assert shown == seen(batches)
    batches.set_epoch(1)
    assert shown != seen(batches)


def test_pictures_of_one_size_keep_the_order_that_older_runs_were_started_with():
    order = np.random.default_rng([1, 0]).permutation(8).tolist()
    assert seen(SeededBatches(8, 2, seed=1)) == seen(SeededBatches([WIDE] * 8, 2, seed=1)) == order


def test_ranks_share_an_epoch_without_overlap():
    ranks = [SeededBatches(16, 2, rank=rank, world_size=2) for rank in range(2)]
    assert sorted(seen(ranks[0]) + seen(ranks[1])) == list(range(16))


def test_no_batch_mixes_sizes_and_ranks_have_the_same_at_once():
    ranks = [SeededBatches(SIZES, 2, seed=3, rank=rank, world_size=2, accumulate=3) for rank in range(2)]
    rows = list(zip(*ranks, strict=True))
    assert len(rows) == len(ranks[0]) == (40 // 12 + 23 // 12) * 3
    assert all(len({SIZES[draw.index] for draw in a + b}) == 1 and len(a) == len(b) == 2 for a, b in rows)
    shown = seen(ranks[0]) + seen(ranks[1])
    assert len(set(shown)) == len(shown)


def steps_of(batch_size, accumulate, devices, **options):
    """The Draws of each step, in the order in which they lie in it, over two epochs."""
    given = dict(seed=3, world_size=devices, accumulate=accumulate, flip=True) | options
    ranks = [SeededBatches(SIZES, batch_size, rank=rank, **given) for rank in range(devices)]
    steps = []
    for epoch in (0, 1):
        for rank in ranks:
            rank.set_epoch(epoch)
        rows = [sum(row, []) for row in zip(*ranks, strict=True)]
        steps += [sum(rows[i : i + accumulate], []) for i in range(0, len(rows), accumulate)]
    return steps


SHARES = [(6, 1, 1), (3, 2, 1), (1, 6, 1), (3, 1, 2), (1, 3, 2), (2, 1, 3), (1, 2, 3), (1, 1, 6)]


@pytest.mark.parametrize(("batch_size", "accumulate", "devices"), SHARES)
def test_however_devices_share_a_step_its_pictures_and_what_they_draw_are_the_same(
    batch_size, accumulate, devices
):
    steps, wanted = steps_of(batch_size, accumulate, devices), steps_of(2, 3, 1)
    assert steps == wanted and len(steps) == 2 * (40 // 6 + 23 // 6 + 9 // 6)
    assert {len(step) for step in steps} == {6}
    assert len({draw.row_seed() for step in steps for draw in step}) == 6 * len(steps)


def test_an_epoch_has_whole_steps_of_the_larger_kind_that_follows():  # after_convergence
    assert len(steps_of(2, 3, 1, steps_together=4)) == 2 * 8
    assert steps_of(2, 3, 1, steps_together=4) == steps_of(1, 3, 2, steps_together=4)


def test_buckets_alternate_at_random():
    batches = SeededBatches([WIDE] * 400 + [TALL] * 400, 4)
    first = [batch[0].index < 400 for batch in batches]
    changes = sum(a != b for a, b in zip(first, first[1:], strict=False))
    assert 80 < changes < 120  # 99.5 expected of 199
    batches.set_epoch(1)
    assert first != [batch[0].index < 400 for batch in batches]


def test_pictures_of_a_bucket_that_fills_no_batch_are_counted():
    batches = SeededBatches(SIZES, 2, world_size=2)
    assert batches.unseen == {RARE: 3} and SeededBatches(SIZES, 2, accumulate=5).unseen == {RARE: 3, None: 9}
    assert not {63, 64, 65} & set(seen(batches))
    assert bucket_text({RARE: 3, None: 1200}) == "1,200 of unknown size, 3 of 512x768"


@pytest.mark.parametrize("flip", [False, True])
def test_an_epoch_goes_on_exactly_where_it_stood(flip):
    batches = SeededBatches(SIZES, 4, seed=5, flip=flip)
    whole = list(batches)
    batches.skip = 7
    assert list(batches) == whole[7:] and list(batches) == whole


def test_too_few_pictures_for_one_step_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="lower batch_size or accumulate, which effective_batch"):
        SeededBatches(7, batch_size=4, accumulate=2)
    with pytest.raises(ValueError, match="takes 4 pictures .* the data has 6 in 2 sizes: lower"):
        SeededBatches([WIDE] * 3 + [TALL] * 3, batch_size=4)


def test_half_of_the_pictures_are_mirrored_others_in_each_epoch():
    batches = SeededBatches(1000, 10, flip=True)
    first = mirrored(batches)
    assert 450 < sum(first.values()) < 550
    batches.set_epoch(1)
    second = mirrored(batches)
    assert 400 < sum(first[i] != second[i] for i in range(1000)) < 600
    assert seen(SeededBatches(1000, 10, flip=True)) == seen(SeededBatches(1000, 10))
    assert not any(mirrored(SeededBatches(1000, 10)).values())


class Pictures:
    """Items of two sizes with a map of one channel; some as tensors, as any dataset may give them."""

    prompts = ("a red top", "a bag in the Left hand", "bright")
    sizes = [(64, 64), (64, 128)] * 3

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        height, width = self.sizes[index]
        jpg = np.linspace(-1, 1, height * width * 3, dtype=np.float32).reshape(height, width, 3)
        hint = (jpg[..., :1] + 1) / 2
        hint = torch.from_numpy(hint) if index % 2 else hint
        return dict(jpg=jpg, hint=hint, txt=self.prompts[index % 3])


def test_picture_and_map_are_mirrored_together_unless_the_prompt_names_a_side():
    items, plain = FlippedItems(Pictures()), Pictures()
    for index in (0, 2, 5):
        for key in ("jpg", "hint"):
            wanted = np.asarray(plain[index][key])[:, ::-1]
            assert np.array_equal(items[Draw(index, True)][key], wanted)
    for draw in (Draw(1, True), Draw(4, True), Draw(0)):
        assert all(np.array_equal(items[draw][key], plain[draw.index][key]) for key in ("jpg", "hint"))
    assert collate([items[Draw(0, True)], items[Draw(2)]])["hint"].shape == (2, 64, 64, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_any_dataset_gives_batches_of_one_size(workers, capsys):
    data = TrainingData(Pictures(), batch_size=3, num_workers=workers, flip=True)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=device)
    batches = list(data.train_dataloader())
    assert {tuple(batch["jpg"].shape) for batch in batches} == {(3, 64, 64, 3), (3, 64, 128, 3)}
    wanted = [[draw.row_seed() for draw in draws] for draws in SeededBatches(Pictures.sizes, 3, flip=True)]
    assert [batch[ROW_SEED] for batch in batches] == wanted
    data.dataset.sizes = [(64, 64)] * 5 + [(64, 128)]
    data.train_dataloader()
    assert "never seen, being fewer than the 3 pictures of a step: 1 of" in capsys.readouterr().out
