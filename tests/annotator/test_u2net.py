"""The public cloth-segmentation network: its names, its number of weights, and what it computes."""

import torch
from torch.nn.functional import batch_norm, conv2d, interpolate, max_pool2d

from annotator.segment.u2net import U2Net

DEPTHS = dict(stage1=7, stage2=6, stage3=5, stage4=4, stage5=4, stage6=4)
DEPTHS |= {f"stage{number}d": depth for number, depth in enumerate((7, 6, 5, 4, 4), 1)}
DILATED = "stage5", "stage6", "stage5d"
BATCH_NORM = "weight bias running_mean running_var num_batches_tracked".split()


def published_names():
    """The parameters and statistics of the published file."""
    for stage, depth in DEPTHS.items():
        inner = ["in", *range(1, depth + 1), *(f"{level}d" for level in range(depth - 1, 0, -1))]
        for block in (f"{stage}.rebnconv{part}" for part in inner):
            yield from (f"{block}.conv_s1.{kind}" for kind in ("weight", "bias"))
            yield from (f"{block}.bn_s1.{kind}" for kind in BATCH_NORM)
    for head in (*(f"side{number}" for number in range(1, 7)), "outconv"):
        yield from (f"{head}.{kind}" for kind in ("weight", "bias"))


def plain_forward(state, x):
    """U2-Net as the paper draws it, block by block, from the published names alone."""

    def convolved(name, x, dilation=1):
        w = {kind: state[f"{name}.bn_s1.{kind}"] for kind in BATCH_NORM[:4]}
        kernel = state[f"{name}.conv_s1.weight"], state[f"{name}.conv_s1.bias"]
        x = conv2d(x, *kernel, padding=dilation, dilation=dilation)
        return batch_norm(x, w["running_mean"], w["running_var"], w["weight"], w["bias"]).relu()

    def joined(x, skip):
        return torch.cat([interpolate(x, skip.shape[2:], mode="bilinear"), skip], 1)

    def block(stage, x):
        depth, dilated = DEPTHS[stage], stage in DILATED
        entered = x = convolved(f"{stage}.rebnconvin", x)
        skips = []
        for level in range(1, depth):
            x = convolved(f"{stage}.rebnconv{level}", x, 2 ** (level - 1) if dilated else 1)
            skips.append(x)
            x = x if dilated or level == depth - 1 else max_pool2d(x, 2, 2, ceil_mode=True)
        x = convolved(f"{stage}.rebnconv{depth}", x, 2 ** (depth - 1) if dilated else 2)
        for level in range(depth - 1, 0, -1):
            joint = joined(x, skips[level - 1])
            x = convolved(f"{stage}.rebnconv{level}d", joint, 2 ** (level - 1) if dilated else 1)
        return x + entered

    skips, size = [block("stage1", x)], x.shape[2:]
    for number in range(2, 7):
        skips.append(block(f"stage{number}", max_pool2d(skips[-1], 2, 2, ceil_mode=True)))
    tops = [skips[5]]
    for number in range(5, 0, -1):
        tops.insert(0, block(f"stage{number}d", joined(tops[0], skips[number - 1])))
    sides = [
        interpolate(
            conv2d(top, state[f"side{n}.weight"], state[f"side{n}.bias"], padding=1), size, mode="bilinear"
        )
        for n, top in enumerate(tops, 1)
    ]
    return [conv2d(torch.cat(sides, 1), state["outconv.weight"], state["outconv.bias"]), *sides]


def shaken(network):
    """The network with random statistics too, which a fresh one has at 0 and 1."""
    for name, value in network.state_dict().items():
        if "bn_s1" in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return network.eval()


def test_u2net_has_the_published_names_and_number_of_weights():
    with torch.device("meta"):
        network = U2Net(4)
    assert list(network.state_dict()) != [] and set(network.state_dict()) == set(published_names())
    assert sum(value.numel() for value in network.parameters()) == 44_051_452


@torch.no_grad()
def test_u2net_computes_what_the_paper_draws():
    torch.manual_seed(0)
    network, x = shaken(U2Net(4, width=8)), torch.randn(1, 3, 70, 101)
    for found, wanted in zip(network(x), plain_forward(network.state_dict(), x), strict=True):
        assert found.shape == (1, 4, 70, 101) and torch.allclose(found, wanted, atol=1e-5)
