"""People's poses by OpenPose's published networks."""

from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange

from annotator.openpose.decode import find_people, hand_boxes, hand_keypoints
from annotator.openpose.network import BodyNetwork, HandNetwork
from annotator.openpose.pose import Pose, check_picture, draw_poses
from annotator.weights import read_weights

BODY_FILE, HAND_FILE = "body_pose_model.pth", "hand_pose_model.pth"
WHERE = "huggingface.co/lllyasviel/ControlNet, folder annotator/ckpts"
WORKING_SIZE = 512  # short side in pixels at which poses are looked for
NETWORK_HEIGHT, STRIDE, PADDING = 368, 8, 128
BODY_SCALES, HAND_SCALES = (0.5,), (0.5, 1.0, 1.5, 2.0)  # as ControlNet's training maps were made


class OpenposeDetector:
    """detector = OpenposeDetector.load("models/annotators")

    picture = detector(photo, hand=True)  # uint8 (h, w, 3), RGB -> uint8 (h, w, 3), poses on black
    """

    def __init__(self, body: BodyNetwork, hand: HandNetwork | None = None, device="cpu"):
        self.body = body.eval().to(device)
        self.hand, self.device = hand and hand.eval().to(device), device

    @classmethod
    def load(cls, folder, device="cpu"):
        """The networks of a folder with body_pose_model.pth and, for hands, hand_pose_model.pth.

        Raises:
            FileNotFoundError, ValueError: the body's file is missing, or a file holds other weights.
        """
        folder = Path(folder)
        if not (folder / BODY_FILE).is_file():
            raise FileNotFoundError(f"no {BODY_FILE} in {folder}: put it there, from {WHERE}")
        body = read_network(BodyNetwork(), folder / BODY_FILE)
        has_hands = (folder / HAND_FILE).is_file()
        return cls(body, read_network(HandNetwork(), folder / HAND_FILE) if has_hands else None, device)

    def __call__(self, image, hand: bool = False):
        """The poses of all people on black, uint8 (h, w, 3), of one RGB picture, uint8 (h, w, 3)."""
        return draw_poses(self.poses(image, hand), *np.shape(image)[:2])

    def poses(self, image, hand: bool = False) -> list[Pose]:
        """Where the people's joints are, in the picture's pixels.

        Raises:
            ValueError: no RGB picture, or hands are wanted without weights for them.
        """
        image = check_picture(image)
        if hand and self.hand is None:
            raise ValueError(f"no {HAND_FILE} was found beside {BODY_FILE}: take it from {WHERE}")
        factor = min(1.0, WORKING_SIZE / min(image.shape[:2]))
        # the networks were trained on pictures in OpenCV's order of colours
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        fields, heatmaps = self._maps(self.body, small, BODY_SCALES)
        poses = []
        for body in find_people(heatmaps, fields):
            hands = [self._hand(small, box) for box in hand_boxes(body, *small.shape[:2])] if hand else []
            poses.append(_scale_pose(body, hands, 1 / factor))
        return poses

    def _hand(self, image, box):
        left, top, side = box
        part = np.ascontiguousarray(image[top : top + side, left : left + side])
        keypoints = hand_keypoints(*self._maps(self.hand, part, HAND_SCALES))
        keypoints[:, :2] += (keypoints[:, 2:] > 0) * np.float32([left, top])
        return keypoints

    @torch.inference_mode()
    def _maps(self, network, image, scales):
        """The network's outputs, each float32 (h, w, maps), at the size of a BGR image; means over scales."""
        height, width = image.shape[:2]
        sums = None
        for scale in scales:
            factor = scale * NETWORK_HEIGHT / height
            small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            inner = small.shape[:2]
            below, right = (-side % STRIDE for side in inner)
            padded = np.pad(small, ((0, below), (0, right), (0, 0)), constant_values=PADDING)
            x = rearrange(torch.tensor(padded, device=self.device), "h w c -> 1 c h w").float() / 256 - 0.5
            outputs = network(x)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            maps = [_enlarge(output, inner, (width, height)) for output in outputs]
            sums = maps if sums is None else [a + b for a, b in zip(sums, maps, strict=True)]
        return [total / len(scales) for total in sums]


def read_network(network, path: Path):
    """The network with the weights of a published file; ValueError for other weights. Runs nothing in it."""
    read_weights(path, network, f"{path.name} as published: {WHERE}")
    return network


def _enlarge(output, inner, size):
    """Maps (1, maps, h/8, w/8) of a padded picture -> float32 (h, w, maps) without its padding, at `size`."""
    maps = rearrange(output, "1 m h w -> h w m").float().cpu().numpy()
    maps = cv2.resize(maps, None, fx=STRIDE, fy=STRIDE, interpolation=cv2.INTER_CUBIC)
    return cv2.resize(maps[: inner[0], : inner[1]], size, interpolation=cv2.INTER_CUBIC)


def _scale_pose(body, hands, factor: float) -> Pose:
    stretch = np.float32([factor, factor, 1])
    return Pose(body * stretch, np.reshape(hands, (-1, 21, 3)).astype(np.float32) * stretch)
