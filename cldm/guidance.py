"""Guidance of try-on as a list of terms: predictions with some conditions dropped, each with a weight.

    classic (arXiv 2207.12598)   eps = eps(no text) + s (eps - eps(no text))
    OOTDiffusion, CatVTON        the same of the garment, text staying
    Magic Clothing               eps(neither) + s_T (eps - eps(no text)) + s_G (eps(no text) - eps(neither))
    DeCo-VTON                    eps(garment-free) + s (eps - eps(garment-free))

are four such lists. Weights sum to 1, so that predictions that agree stay as they are.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Term:
    """A prediction without the conditions of these names, and its weight in the sum."""

    dropped: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class Guidance:
    """Terms whose weights sum to 1; see `guide_by` and `guide_jointly` for the published ones.

    Raises:
        ValueError: no terms, the same conditions dropped by two of them, or weights that do not sum to 1.
    """

    terms: tuple[Term, ...]

    def __post_init__(self):
        dropped = [frozenset(term.dropped) for term in self.terms]
        if not self.terms or len(set(dropped)) != len(dropped):
            raise ValueError(f"guidance wants terms that drop different conditions, got {self.terms}")
        total = sum(term.weight for term in self.terms)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the weights of guidance must sum to 1, they sum to {total:g}")

    @classmethod
    def read(cls, terms) -> "Guidance":
        """Of a yaml's list of [[names of dropped conditions], weight]."""
        return cls(tuple(Term(tuple(dropped), float(weight)) for dropped, weight in terms))

    @property
    def names(self) -> set[str]:
        """The conditions that any term drops."""
        return {name for term in self.terms for name in term.dropped}

    def rescaled(self, scale: float) -> "Guidance":
        """The same by another scale; ValueError for guidance that has more than one, or none."""
        dropped = {tuple(sorted(term.dropped)) for term in self.terms if term.dropped}
        if len(dropped) != 1:
            raise ValueError(f"this guidance has not one scale, but the terms {self.describe()}")
        return guide_by(dropped.pop(), scale)

    def describe(self) -> list:
        """Lists as `read` takes them."""
        return [[list(term.dropped), term.weight] for term in self.terms]

    def combine(self, predictions):
        """The terms' predictions, stacked (k b, ...) in their order -> (b, ...)."""
        parts = predictions.chunk(len(self.terms))
        return torch.stack([term.weight * part for term, part in zip(self.terms, parts, strict=True)]).sum(0)


def guide_by(name: str | tuple[str, ...], scale: float) -> Guidance:
    """eps(without) + scale (eps - eps(without)); the one prediction that counts where scale is 1."""
    dropped = (name,) if isinstance(name, str) else tuple(name)
    if scale == 1:
        return Guidance((Term((), 1.0),))
    return Guidance((Term(dropped, 1 - scale), Term((), scale)))


def guide_jointly(text: str, garment: str, text_scale: float, garment_scale: float) -> Guidance:
    """Magic Clothing's joint form (arXiv 2404.09512, equation 6) over two conditions."""
    terms = (
        Term((text, garment), 1 - garment_scale),
        Term((text,), garment_scale - text_scale),
        Term((), text_scale),
    )
    return Guidance(tuple(term for term in terms if term.weight))
