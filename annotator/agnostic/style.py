"""The table of mask styles."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

STYLES_FILE = Path(__file__).with_name("styles.yaml")


@dataclass(frozen=True)
class Style:
    """One mask style: which label set it reads, and its rule's numbers; styles.yaml says what each means."""

    rule: str
    labels: str = ""
    garment: dict[str, list[int]] = field(default_factory=dict)
    kept: dict[str, list[int]] = field(default_factory=dict)
    head: tuple[int, ...] = ()
    neck: tuple[int, ...] = ()
    arms: tuple[int, ...] = ()
    with_arms: tuple[str, ...] = ()
    hands_kept: bool = True
    arm_width: int = 0
    arm_width_rows: int | None = None
    neck_cut: bool = False
    whole_pixels: bool = False
    grow_arms: dict[int, list[int]] = field(default_factory=dict)
    grow_mask: dict[int, list[int]] = field(default_factory=dict)
    radius: int | None = None
    shoulder_line: int = 0
    round_shoulders: bool = False
    square_neck: bool = False
    always_kept: dict[str, list[int]] = field(default_factory=dict)
    parts: dict[str, dict] = field(default_factory=dict)
    groups: dict[str, dict] = field(default_factory=dict)
    margin: float = 0.0

    @property
    def categories(self) -> tuple[str, ...]:
        if self.groups:
            return tuple(next(iter(self.groups.values()))["garment"])
        return tuple(self.garment or self.parts)

    def arm_width_at(self, height: int) -> int:
        """Width of an arm's line in a picture `height` rows high."""
        return int(self.arm_width / self.arm_width_rows * height) if self.arm_width_rows else self.arm_width

    def grow_arms_at(self, height: int):
        """(side of the square, times), or None: not grown at this height."""
        return _at_height(self.grow_arms, height)

    def grow_mask_at(self, height: int):
        return _at_height(self.grow_mask, height)


def _at_height(table, height):
    reached = [rows for rows in table if height >= rows]
    return tuple(table[max(reached)]) if reached else None


@cache
def read_styles() -> dict[str, Style]:
    """The styles of styles.yaml by their names."""
    return {name: Style(**style) for name, style in yaml.safe_load(STYLES_FILE.read_text("utf-8")).items()}
