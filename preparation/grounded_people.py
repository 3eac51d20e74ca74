"""A person detector that looks for what it is told to: Grounding DINO in a local folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class GroundedPersonDetector:
    """Grounding DINO, asked for a person.

    Its scores are lower than those of a detector with a list of labels, so it has a threshold of its own.
    """

    dino: Any

    @classmethod
    def load(cls, folder, device: str = "cpu"):
        """The detector of a folder, with check's errors; `auto` is an accelerator or the CPU."""
        import torch

        from annotator.caption.captioners import GroundingDinoOptions, load_captioner

        if device == "auto":
            device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
        return cls(load_captioner("grounding_dino", folder, GroundingDinoOptions(), device))

    @staticmethod
    def check(folder) -> None:
        """Raise FileNotFoundError for a folder that lacks a file."""
        from annotator.caption.grounding_dino import GroundingDino

        GroundingDino.check_folder(folder)

    def detect(self, images: list) -> list:
        """The people in each of some pictures uint8 (h, w, 3), RGB: float32 (n, 5).

        A row is left, top, right, bottom in pixels and the score, in [GroundingDinoOptions.box_threshold, 1].
        """
        people = []
        for image, found in zip(images, self.dino.find(images, [["person"]] * len(images)), strict=True):
            height, width = image.shape[:2]
            rows = np.array([[*box, score] for score, box in found.get("person", [])], np.float32)
            people.append(rows.reshape(-1, 5) * np.array([width, height, width, height, 1], np.float32))
        return people


def is_grounding_dino(folder) -> bool:
    """Whether a folder's config.json says so; a folder without one, or a damaged one, is of another kind."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and str(config.get("model_type")).endswith("grounding-dino")
