"""A model that is ready to draw: its defaults, what to say about it, and what acts beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from cldm.parts_present import AllThere, OneStage
from demo.infotext import file_names
from pictures.hint import HintEncoder

A_PROMPT = "best quality, extremely detailed"
N_PROMPT = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, "
    "worst quality, low quality"
)


DOLL_CLOTHES = (
    "tops, jackets, pants, shorts, skirts, dresses, coats, jumpsuits and hats in ten colours, some of them "
    "with a pattern"
)


@dataclass
class Demo:
    """A model, the regions that its map has, and where it comes from.

    source: for people. file, digest: of the map's control, for the pictures' metadata.
    further: controls beside the map's, as generation.control_files.load_controls gives them.
    segment: pictures uint8 (n, H, W, 3) -> ids uint8 (n, H, W) in the encoder's regions; None where nothing
        is known that finds them in such pictures.
    judge: the same, good enough to measure by; None where there is no such thing.
    low_memory: draw pictures one after the other, with only those parts on the device that are at work.
    """

    model: torch.nn.Module
    encoder: HintEncoder
    source: str
    file: str = ""
    digest: str = ""
    further: tuple = ()
    segment: Callable | None = None
    judge: Callable | None = None
    low_memory: bool = False

    @property
    def parts(self) -> AllThere:
        """What places the model's parts while it draws."""
        if not self.low_memory:
            return AllThere()
        return OneStage(self.model, [steering.branch for steering in self.further])

    @property
    def native_size(self) -> int:
        """Side in pixels of the pictures that the model was trained on."""
        return 8 * self.model.image_size

    @property
    def control_is_trained(self) -> bool:
        """Whether any zero convolution has moved away from zero."""
        control = self.model.control_model
        return any(
            p.any() for part in (control.zero_convs, control.middle_block_out) for p in part.parameters()
        )

    def defaults(self) -> dict:
        """The page's starting values: the original's for Stable Diffusion, others for the tiny model."""
        size = dict(image_resolution=self.native_size)
        if self.native_size < 256:
            return size | dict(a_prompt="", n_prompt="", num_samples=3, scale=3.0)
        return size | dict(a_prompt=A_PROMPT, n_prompt=N_PROMPT, num_samples=1, scale=9.0)

    def about(self) -> str:
        """What this model can draw, in a sentence for whoever opens the page."""
        if self.native_size >= 256:
            return (
                f"It draws people and their clothes as its training pictures showed them, about "
                f"{self.native_size} pixels wide, and reads English best."
            )
        return f"This is the practice model, which draws small paper dolls: {DOLL_CLOTHES}."

    def name(self) -> str:
        """Which files the model is of, by their names alone, and what to do for better ones."""
        more = " models/README.md says how to get photographs." if self.native_size < 256 else ""
        return f"Model: {file_names(self.source)}.{more}"

    def warning(self) -> str:
        """What a user must know before judging the pictures; empty for a trained model."""
        if self.control_is_trained:
            return ""
        return (
            "**The control of this model is untrained: its pictures do not follow the map yet.** "
            "Run `python tutorial_train.py`, then start this page again."
        )
