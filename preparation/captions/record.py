"""A caption as a line of the journal, with how far its boxes agree with the picture's region map."""

import math
from pathlib import Path

from annotator.caption.folder_lines import regions_of
from annotator.caption.interface import Caption
from preparation.captions.column_files import file_stamp

AGREEMENT = "agreement"
DIGITS = 4  # of a box's side: a tenth of a pixel of 1,000


def make_record(target: str, stamp: list[int], caption: Caption) -> dict:
    """What is noted of a picture: its file's [bytes, nanoseconds, CRC], text, phrases with boxes, scores."""
    phrases = [
        [text, [[round(float(side), DIGITS) for side in box] for box in boxes]]
        for text, boxes in caption.phrases
    ]
    # JSON has no word for a score that is no number
    scores = {n: round(float(value), 6) for n, value in caption.scores.items() if math.isfinite(value)}
    return dict(target=target, file=stamp, text=caption.text, phrases=phrases, scores=scores)


def agreed(folder: Path, line: dict, record: dict) -> dict:
    """The record with scores["agreement"], of its boxes with the map as that is now.

    A record without boxes, or of a folder without region maps, stays as it is; so does one that was compared
    with this very map.
    Raises:
        ValueError: the map cannot be read; the message names it.
    """
    path, regions = folder / line["source"], regions_of(folder)
    if regions is None or not any(boxes for _, boxes in record["phrases"]):
        return record
    stamp = file_stamp(path) if path.is_file() else None
    if stamp and record.get("map") == stamp:
        return record
    # OpenCV takes its time
    from annotator.caption.agreement import agreement, check_phrases
    from pictures.masks import open_mask, region_ids

    try:
        ids = region_ids(open_mask(path), regions.colours)
    except ValueError as error:
        raise ValueError(f"{line['source']}: {error}") from error
    found = agreement(check_phrases(record["phrases"], ids, regions))
    scores = {name: value for name, value in record["scores"].items() if name != AGREEMENT}
    if found is not None:
        scores[AGREEMENT] = round(float(found), DIGITS)
    return record | dict(scores=scores, map=stamp)
