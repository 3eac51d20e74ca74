"""Captions of the annotation's own words, with the boxes of their regions: the source that costs nothing."""

from annotator.caption.agreement import find_part_boxes, region_of_phrase
from annotator.caption.interface import Caption, Captioner
from annotator.caption.training_folder import caption_in, phrases_in, read_map, require_regions


class AttributesCaptioner(Captioner):
    """What a column says of a line's garments; phrases about a region have the region's boxes.

    Args:
        options: AttributesOptions.
    """

    name = "attributes"

    def __init__(self, options):
        self.options = options

    @classmethod
    def load(cls, folder, options, device="cpu", dtype=None):
        return cls(options)

    def caption(self, images, prompt=None):
        """Raises ValueError: pictures alone have no annotation."""
        raise ValueError("attributes reads lines of a training folder's prompt.json, it sees no pictures")

    def caption_lines(self, lines, images=None) -> list[Caption]:
        """The caption of each line's column; ValueError for a line without it, or if `folder` is not set."""
        if self.folder is None:
            raise ValueError("attributes needs the training folder of the lines: set its `folder`")
        regions = require_regions(self.folder)
        return [self._caption(line, regions) for line in lines]

    def _caption(self, line, regions) -> Caption:
        text = caption_in(line, self.options.source)
        ids = read_map(self.folder, line, regions)
        phrases = []
        for phrase in phrases_in(text):
            region = region_of_phrase(phrase, regions)
            boxes = find_part_boxes(ids, regions.names.index(region)) if region else []
            phrases.append((phrase, boxes))
        return Caption(text, phrases)
