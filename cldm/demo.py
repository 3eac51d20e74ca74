"""What the demo's page asks of a model: its defaults, what to say about it, and pictures for a request."""

import random
from dataclasses import dataclass

import torch

from cldm.generate import Settings, generate
from cldm.hint import HintEncoder
from cldm.painting import painted_map, working_map

A_PROMPT = "best quality, extremely detailed"
N_PROMPT = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, "
    "worst quality, low quality"
)


@dataclass
class Demo:
    """A model that is ready to draw, the regions it knows, and where it comes from."""

    model: torch.nn.Module
    encoder: HintEncoder
    source: str

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
        if self.native_size < 256:
            return dict(a_prompt="", n_prompt="", num_samples=3, scale=3.0)
        return dict(a_prompt=A_PROMPT, n_prompt=N_PROMPT, num_samples=1, scale=9.0)

    def about(self) -> str:
        """What this model is, in a sentence or two."""
        if self.native_size >= 256:
            return f"Model: {self.source}."
        return (
            f"Model: {self.source}. It is the tiny one, which draws paper dolls of {self.native_size} × "
            f"{self.native_size} pixels; models/README.md says how to get photographs."
        )

    def warning(self) -> str:
        """What a user must know before judging the pictures; empty for a trained model."""
        if self.control_is_trained:
            return ""
        return (
            "**The control of this model is untrained: its pictures do not follow the map yet.** "
            "Run `python tutorial_train.py`, then start this page again."
        )

    def processor(self, progress=None):
        """The function of the page's button: the original demo's inputs in their order, and ours.

        `progress` becomes the default of its last argument, where gradio looks for a tracker to hand in.
        """

        def process(
            input_image,
            prompt,
            a_prompt,
            n_prompt,
            num_samples,
            image_resolution,
            ddim_steps,
            guess_mode,
            strength,
            scale,
            seed,
            eta,
            sampler,
            control_start,
            control_end,
            progress=progress,
        ):
            """An image editor's value and settings -> [(region map, caption), (picture, its seed), ...]."""
            ids = working_map(painted_map(input_image, self.encoder), image_resolution)
            settings = Settings(
                prompt=joined(prompt, a_prompt),
                negative_prompt=joined(n_prompt),
                num_samples=num_samples,
                steps=ddim_steps,
                sampler=sampler,
                scale=scale,
                strength=strength,
                guess_mode=guess_mode,
                control_start=control_start,
                control_end=control_end,
                eta=eta,
                seed=random.randint(0, 65535) if seed in (None, -1) else seed,
            )
            return self.draw(ids, settings, progress)

        return process

    def draw(self, ids, settings: Settings, progress=None):
        """Region ids uint8 (H, W) -> [(region map, caption), (picture, seed), ...], all uint8 (H, W, 3)."""

        def report(step):
            progress((step["i"] + 1, settings.steps))

        # `is None`, because a gradio tracker is an empty sequence
        callback = None if progress is None else report
        try:
            pictures = generate(self.model, self.encoder.to_hint(ids), settings, callback=callback)
        except torch.OutOfMemoryError as error:
            raise ValueError("Out of memory: ask for fewer pictures or a lower resolution.") from error
        seeds = [f"seed {settings.seed + i}" for i in range(len(pictures))]
        return [(self.encoder.to_rgb(ids), "region map"), *zip(pictures, seeds, strict=True)]


def joined(*prompts: str | None) -> str:
    """Prompts as one, without the empty ones."""
    return ", ".join(prompt.strip() for prompt in prompts if prompt and prompt.strip())
