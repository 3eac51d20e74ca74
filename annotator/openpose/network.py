"""OpenPose's networks of bodies and hands, with the names of body_pose_model.pth and hand_pose_model.pth."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d

# channels of VGG-19's first ten convolutions, by block; pooling stands between the blocks
TRUNK = (64, 64), (128, 128), (256, 256, 256, 256), (512, 512)
NUM_FEATURES = 128
NUM_FIELDS, NUM_BODY_MAPS, NUM_HAND_MAPS = 38, 19, 22
STAGES = range(2, 7)


class Convolutions(nn.Module):
    """Named convolutions that keep the size; what is not the last of its chain is rectified."""

    def chain(self, rows, channels: int) -> None:
        """Add (name, channels out, side of the kernel) one after the other."""
        for name, out_channels, side in rows:
            self.add_module(name, nn.Conv2d(channels, out_channels, side, padding=side // 2))
            channels = out_channels

    def run(self, names, x, rectify_last: bool = False):
        for name in names:
            x = getattr(self, name)(x)
            if rectify_last or name != names[-1]:
                x = x.relu()
        return x

    def add_trunk(self, more) -> None:
        """VGG's blocks, then `more` rows of (name, channels out), the last with 128 channels of features."""
        self.blocks = [
            [f"conv{block}_{number}" for number in range(1, len(channels) + 1)]
            for block, channels in enumerate(TRUNK, 1)
        ]
        rows = [
            (n, c, 3)
            for names, channels in zip(self.blocks, TRUNK, strict=True)
            for n, c in zip(names, channels, strict=True)
        ]
        self.chain([*rows, *((name, channels, 3) for name, channels in more)], 3)
        self.blocks[-1] += [name for name, _ in more]

    def features(self, images):
        """Images (b, 3, H, W) -> features (b, 128, H/8, W/8)."""
        for number, names in enumerate(self.blocks):
            images = self.run(names, max_pool2d(images, 2) if number else images, rectify_last=True)
        return images

    def add_stage(self, stage: int, suffix: str, channels: int, out_channels: int) -> None:
        """The convolutions of a later stage, Mconv1 to Mconv7."""
        rows = [(name, NUM_FEATURES, 7) for name in stage_names(stage, suffix)]
        rows[5:] = [(rows[5][0], NUM_FEATURES, 1), (rows[6][0], out_channels, 1)]
        self.chain(rows, channels)


class BodyNetwork(Convolutions):
    """Images (b, 3, H, W), BGR in [-0.5, 0.5] -> fields (b, 38, H/8, W/8) and heatmaps (b, 19, H/8, W/8).

    A limb's two fields are the x and y of its direction wherever it lies; the last heatmap is the background.
    """

    def __init__(self):
        super().__init__()
        self.add_trunk([("conv4_3_CPM", 256), ("conv4_4_CPM", NUM_FEATURES)])
        for branch, maps in (("L1", NUM_FIELDS), ("L2", NUM_BODY_MAPS)):
            first = self.first_names(branch)
            rows = [(name, NUM_FEATURES, 3) for name in first[:3]] + [(first[3], 512, 1), (first[4], maps, 1)]
            self.chain(rows, NUM_FEATURES)
            for stage in STAGES:
                self.add_stage(stage, f"_{branch}", NUM_FEATURES + NUM_FIELDS + NUM_BODY_MAPS, maps)

    @staticmethod
    def first_names(branch: str) -> list[str]:
        return [f"conv5_{number}_CPM_{branch}" for number in range(1, 6)]

    def forward(self, images):
        features = self.features(images)
        fields, heatmaps = (self.run(self.first_names(branch), features) for branch in ("L1", "L2"))
        for stage in STAGES:
            x = torch.cat([fields, heatmaps, features], dim=1)
            fields, heatmaps = (self.run(stage_names(stage, f"_{branch}"), x) for branch in ("L1", "L2"))
        return fields, heatmaps


class HandNetwork(Convolutions):
    """Images (b, 3, H, W) of a hand, BGR in [-0.5, 0.5] -> heatmaps (b, 22, H/8, W/8), background last."""

    FIRST = "conv6_1_CPM", "conv6_2_CPM"

    def __init__(self):
        super().__init__()
        more = [("conv4_3", 512), ("conv4_4", 512), ("conv5_1", 512), ("conv5_2", 512)]
        self.add_trunk([*more, ("conv5_3_CPM", NUM_FEATURES)])
        self.chain([(self.FIRST[0], 512, 1), (self.FIRST[1], NUM_HAND_MAPS, 1)], NUM_FEATURES)
        for stage in STAGES:
            self.add_stage(stage, "", NUM_HAND_MAPS + NUM_FEATURES, NUM_HAND_MAPS)

    def forward(self, images):
        features = self.features(images)
        heatmaps = self.run(self.FIRST, features)
        for stage in STAGES:
            heatmaps = self.run(stage_names(stage), torch.cat([heatmaps, features], dim=1))
        return heatmaps


def stage_names(stage: int, suffix: str = "") -> list[str]:
    """The convolutions of a later stage in their order."""
    return [f"Mconv{number}_stage{stage}{suffix}" for number in range(1, 8)]
