"""What conditions write into, between the sampler's latents and the U-Net's call."""

from dataclasses import dataclass, field

import torch
from torch.nn.functional import pad

from cldm.tryon.attention import Tokens


@dataclass
class UNetInputs:
    """One call of the U-Net in the making; letters: b batch, c channels, h w latent, d width of the context.

    x: noisy latents (b, c, h, w); with a layout that stacks pictures, their rows may be more.
    t: timesteps (b,).
    added: latents that are summed onto x; channels: by the condition's name, in the order of the recipe.
    rows: what stands below the person's rows: noisy latents under "x", and channels by their names.
    text: context (b, n, d); image: tokens of a decoupled prompt.
    references: garment tokens (b, m, c) by site, of every garment; kept: bool (b,), and shares, see Tokens.
    residuals: what control branches add to skips and middle.
    """

    x: torch.Tensor
    t: torch.Tensor
    added: list = field(default_factory=list)
    channels: dict = field(default_factory=dict)
    rows: dict = field(default_factory=dict)
    text: object = None
    image: object = None
    image_scale: float = 1.0
    references: dict = field(default_factory=dict)
    kept: torch.Tensor | None = None
    shares: dict | None = None
    residuals: list | None = None

    def add_references(self, tokens: dict) -> None:
        """Another garment's tokens by site; those of several garments stand behind one another."""
        for site, recorded in tokens.items():
            there = self.references.get(site)
            self.references[site] = recorded if there is None else torch.cat([there, recorded], dim=1)

    def add_residuals(self, residuals: list) -> None:
        there = self.residuals
        self.residuals = (
            residuals if there is None else [a + b for a, b in zip(there, residuals, strict=True)]
        )

    def add_text(self, tokens) -> None:
        """Tokens behind those of the text, as a longer context."""
        self.text = tokens if self.text is None else torch.cat([self.text, tokens], dim=1)

    def join(self):
        """(latents with all channels and rows, Tokens, residuals), as the U-Net takes them."""
        x = self.x
        for latents in self.added:
            x = x + latents
        if "x" in self.rows:
            x = torch.cat([x, self.rows["x"]], dim=2)
        wide = [x]
        for name, channel in self.channels.items():
            if missing := x.shape[2] - channel.shape[2]:
                below = self.rows.get(name)
                if below is None:
                    below = channel.new_zeros(*channel.shape[:2], missing, channel.shape[3])
                channel = torch.cat([channel, below], dim=2)
            wide.append(channel)
        tokens = Tokens(self.text, self.image, self.image_scale, self.references, self.kept, self.shares)
        return torch.cat(wide, dim=1), tokens, self.residuals and fill_below(self.residuals, x.shape[2])


def fill_below(residuals: list, rows: int) -> list:
    """Residuals of the person's rows, outermost first, with zeros where the garment stands below them."""
    times = rows // residuals[0].shape[2]
    return [pad(residual, (0, 0, 0, (times - 1) * residual.shape[2])) for residual in residuals]
