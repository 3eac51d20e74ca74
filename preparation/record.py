"""What is noted of one prepared picture: a line of the journal, from which all tables are made."""

from dataclasses import dataclass, fields


@dataclass
class Record:
    """A prepared picture. Sizes are [height, width], boxes [left, top, right, bottom] in pixels.

    Args:
        name: of the picture; `source` and `target` are its files. example: of the photo that it was cut from.
        photo, photo_size, crop: how tables call that photo, its upright size, and the box cut from it.
        size, bucket: of the picture, as numbers and as "512x512".
        regions, areas: names of the regions that its map shows, and their shares of it by name.
        boxes: of the garments, each with its region's id as a fifth number.
        measures: what `measures.measure` told of it.
        captions: text by source.
        rows: how many rows of the raw table are painted, and how many give words alone.
        incomplete: why its map lacks something, "" if it does not.
        map_crc, target_crc, target_bytes: of its files as they were written.
        phrases, scores: by captioner, None until one has found some; the journal has neither.
    """

    name: str
    example: str
    photo: str
    photo_size: list[int]
    crop: list[float]
    source: str
    target: str
    size: list[int]
    bucket: str
    regions: list[str]
    areas: dict[str, float]
    boxes: list[list[float]]
    measures: dict
    captions: dict[str, str]
    rows: list[int]
    incomplete: str
    map_crc: int
    target_crc: int
    target_bytes: int
    phrases: dict | None = None
    scores: dict | None = None

    def to_line(self) -> dict:
        """Its fields in their order, for JSON; `Record(**line)` is the way back."""
        found = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in found.items() if value is not None}
