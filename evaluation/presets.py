"""The field's two protocols of try-on, whose tables must not be merged, as presets that hold them fixed.

catvton512 is that of CatVTON's tables, by its published scripts (arXiv 2407.15886). voost1024 is that of
Voost's (arXiv 2508.04825), at twice the side. What is not known of the latter is our choice, and the protocol
of every number says so.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from evaluation.inception import CLEAN_FID, PUBLISHED
from evaluation.lpips import BACKBONES


@dataclass(frozen=True)
class ProtocolPreset:
    """What a published table holds fixed.

    Args:
        size: (H, W) of all pictures.
        lpips: the backbone of LPIPS, of evaluation.lpips.BACKBONES.
        repaint: what stays outside of the mask, None: the model's own.
        jpeg_quality: with which its script saves the photos that it compares with, None: as they are.
        chosen: what of these is not known of it, so that it is our choice.
    """

    name: str
    source: str
    size: tuple[int, int]
    lpips: str
    repaint: str | None = None
    jpeg_quality: int | None = None
    chosen: str = "nothing"

    def check_request(self, num_items: int | None, num_seeds: int, repaint: str | None):
        """ValueError for options that the protocol does not leave open."""
        if num_items is not None:
            raise ValueError(f"--limit goes with no --protocol: {self.name} takes the whole test set")
        if num_seeds != 1:
            raise ValueError(f"{self.name} takes one picture a person, not --num {num_seeds}")
        if repaint is not None and self.repaint is not None and repaint != self.repaint:
            raise ValueError(f"{self.name} draws with --repaint {self.repaint}, not {repaint}")

    def check_sizes(self, sizes, folder):
        """ValueError where held-out pictures (H, W) are of another size."""
        if other := next((size for size in sizes if size != self.size), None):
            found, wanted = ("x".join(map(str, s)) for s in (other, self.size))
            raise ValueError(
                f"{self.name} measures pictures of {wanted}, height x width, {folder} has {found}: prepare "
                f"the raw data with --size {self.size[0]}"
            )

    def check_backbones(self, lpips, inception):
        """ValueError where a network that is given is another than the protocol's."""
        if lpips is not None and lpips != self.lpips:
            raise ValueError(
                f"{self.name} takes LPIPS of {BACKBONES[self.lpips]}, --lpips is {BACKBONES[lpips]}"
            )
        if inception is not None and inception != PUBLISHED:
            raise ValueError(f"{self.name} takes the FID of {PUBLISHED}, --inception is {inception}")

    def read_photo(self, photo):
        """A photo uint8 (H, W, 3) as the protocol's script compares with it."""
        if self.jpeg_quality is None:
            return photo
        buffer = BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=self.jpeg_quality)
        return np.asarray(Image.open(buffer))

    def facts(self) -> dict:
        """What stands in the protocol of every number."""
        photos = f"JPEG of quality {self.jpeg_quality}" if self.jpeg_quality else "as they are in the folder"
        return dict(
            name=self.name,
            source=self.source,
            photos=photos,
            lpips=BACKBONES[self.lpips],
            fid_pictures=CLEAN_FID,
            kid="times 1000; over all pairs, around which clean-fid's 100 subsets of 1000 scatter",
            ssim="Gaussian windows of 11 that lie wholly in the picture",
            our_choice=self.chosen,
        )


PRESETS = {
    preset.name: preset
    for preset in (
        ProtocolPreset(
            name="catvton512",
            source="CatVTON's tables, arXiv 2407.15886, by its published scripts",
            size=(512, 384),
            lpips="squeeze",
            repaint="blend",
            jpeg_quality=75,
        ),
        ProtocolPreset(
            name="voost1024",
            source="Voost's tables, arXiv 2508.04825",
            size=(1024, 768),
            lpips="alex",
            chosen="LPIPS's backbone, how FID's pictures are squeezed, photos as they are in the folder",
        ),
    )
}


def find_preset(name: str | None) -> ProtocolPreset | None:
    """The preset of a command line's --protocol; ValueError for a name that there is not."""
    if name is None:
        return None
    if name not in PRESETS:
        raise ValueError(f"--protocol must be one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
