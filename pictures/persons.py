"""Which garments belong to one person, told from their boxes alone."""

from dataclasses import dataclass

SMALL = 1 / 8  # of the largest garment's area: nobody is recognised by so little
OVERLAP = 0.5  # of the narrower one's width, for garments to be worn by one person
REACH = 0.5  # of a person's width: how far beside it small things are still its own
CONSIDERABLE = 0.25  # of the largest person's area, to count as a person


@dataclass(frozen=True)
class Span:
    """A box in pixels, right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    def within(self, other: "Span") -> "Span":
        """The part inside another box; of no or negative size where they are apart."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Span(left, top, min(self.right, other.right), min(self.bottom, other.bottom))

    def shared(self, other: "Span") -> float:
        """The area they have in common."""
        part = self.within(other)
        return max(part.width, 0) * max(part.height, 0)

    def grown(self, left: float, top: float, right: float, bottom: float) -> "Span":
        """The box with room added on its sides."""
        return Span(self.left - left, self.top - top, self.right + right, self.bottom + bottom)


def union(spans: list[Span]) -> Span:
    """The smallest box around all."""
    return Span(
        min(span.left for span in spans),
        min(span.top for span in spans),
        max(span.right for span in spans),
        max(span.bottom for span in spans),
    )


def group_persons(garments: list[Span]) -> list[list[Span]]:
    """Boxes of garments -> those of each person, the largest person first.

    Garments are taken from the largest to the smallest. Each joins the person it overlaps most in the
    horizontal, if by half of the narrower one's width; else it is another person's. So what is worn above,
    below or on top of one another is one person, and who stands side by side is parted even where sleeves
    touch. Things under an eighth of the largest garment (hats, shoes) make no person: they join the nearest
    one within half its width. Persons whose box is under a quarter of the largest one's are left out.
    """
    persons: list[list[Span]] = []
    ordered = sorted(garments, key=lambda span: (-span.area, span.left, span.top))
    for garment in ordered:
        nearness = [_nearness(garment, union(person)) for person in persons]
        is_small = garment.area < SMALL * ordered[0].area
        best = max(range(len(persons)), key=nearness.__getitem__, default=None)
        if best is not None and nearness[best] >= (-REACH if is_small else OVERLAP):
            persons[best].append(garment)
        elif not is_small:
            persons.append([garment])
    persons.sort(key=lambda person: -union(person).area)
    return [person for person in persons if union(person).area >= CONSIDERABLE * union(persons[0]).area]


def _nearness(garment: Span, person: Span) -> float:
    """The horizontal overlap by the narrower one's width, or minus the gap by the person's width."""
    overlap = min(garment.right, person.right) - max(garment.left, person.left)
    return overlap / (min(garment.width, person.width) if overlap > 0 else person.width)
