"""What drawing must know of a trained try-on model: written into its checkpoint's metadata, and read back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cldm.guidance import Guidance
from cldm.tryon.conditions import check_choice
from ldm.models.diffusion.ddpm import check_scale_factor

# what stays outside the mask, see generation.fitting
REPAINTS = ("none", "each_step", "paste", "blend")


@dataclass(frozen=True)
class TryonRecord:
    """How a model was made to draw: a recipe's choices, and the masks that it learned from.

    scale_factor: of latents. mask_style: of annotator.agnostic; size: (H, W) of the pictures; None where
    training has not said. train: what trained of each part of the recipe, see TryonLDM.choices.
    """

    guidance: Guidance
    repaint: str = "none"
    scale_factor: float = 1.0
    mask_style: str | None = None
    size: tuple[int, int] | None = None
    train: Mapping[str, str] | None = None

    def __post_init__(self):
        check_choice("repaint", self.repaint, REPAINTS)
        check_scale_factor(self.scale_factor)

    @classmethod
    def of(cls, model, lines=()) -> "TryonRecord":
        """Of a TryonLDM, and the lines of the folder that it learns from.

        Raises:
            ValueError: lines with masks of two styles.
        """
        styles = sorted({line["mask_style"] for line in lines if line.get("mask_style")})
        sizes = {tuple(line["size"]) for line in lines if "size" in line}
        if len(styles) > 1:
            raise ValueError(f"a model learns masks of one style, the data have {', '.join(styles)}")
        return cls(
            guidance=model.guidance,
            repaint=model.repaint,
            scale_factor=model.scale_factor,
            mask_style=styles[0] if styles else None,
            size=sizes.pop() if len(sizes) == 1 else None,
        )

    def metadata(self) -> dict:
        """Plain lists, numbers and texts; what is not known is left out."""
        told = dict(
            guidance=self.guidance.describe(),
            repaint=self.repaint,
            scale_factor=self.scale_factor,
            mask_style=self.mask_style,
            size=self.size and list(self.size),
            train=self.train and dict(self.train),
        )
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_metadata(cls, told) -> "TryonRecord":
        """What `metadata` gave.

        Raises:
            ValueError: it is damaged, or of another kind.
        """
        try:
            guidance = Guidance.read(told["guidance"])
            scale = float(told["scale_factor"])
            style, size = told.get("mask_style"), told.get("size")
            size = None if size is None else (int(size[0]), int(size[1]))
            train = {**told["train"]} if "train" in told else None
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"it lacks something, or is of another kind: {error}") from error
        if not isinstance(style, str | None):
            raise ValueError(f"mask_style must be a text, got {style!r:.40}")
        return cls(guidance, told.get("repaint", "none"), scale, style, size, train)

    def changed(self, **by_hand) -> "TryonRecord":
        """The same, but for what is given by hand; None leaves what is recorded."""
        return replace(self, **{name: value for name, value in by_hand.items() if value is not None})

    def apply(self, model) -> None:
        """Let a TryonLDM draw as recorded.

        Raises:
            ValueError: its recipe has none of the conditions that guidance drops.
        """
        model.check_guidance(self.guidance)
        model.guidance, model.repaint = self.guidance, self.repaint
        model.scale_factor = self.scale_factor

    def check_data(self, lines) -> None:
        """Raise ValueError for lines of data to draw from with masks of another style, or of another size."""
        for line in lines:
            style, size = line.get("mask_style"), line.get("size")
            if self.mask_style and style and style != self.mask_style:
                raise ValueError(f"the model learned masks of style {self.mask_style}, the data have {style}")
            if self.size and size and tuple(size) != self.size:
                (height, width), (tall, wide) = self.size, size
                raise ValueError(f"the model learned {height} x {width}, the data are {tall} x {wide}")
