"""Pictures for people to look at: small ones side by side, as figures of an HTML page."""

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HEIGHT, QUALITY = 160, 75
PAIR = 324, 270  # the largest width and height of two pictures together
GAP = 4
STRENGTH = 0.55  # of the map's colours over the photo


def evenly(items: list, most: int) -> list:
    """At most `most` of the items, spread evenly over all, first and last among them."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def thumbnail(path: Path, height=HEIGHT) -> bytes:
    """The picture of a file as JPEG, `height` pixels high."""
    return _jpeg(_small(path, height))


def overlay(photo: Path, hint: Path, boxes=()) -> bytes:
    """A photo, and beside or below it the photo under the colours of its map, as JPEG; black is clear.

    `boxes` (left, top, right, bottom), in [0, 1], are drawn on both.
    """
    with Image.open(hint) as image:
        width, height = image.size
        # whichever way the two are larger
        beside = min((PAIR[0] - GAP) / (2 * width), PAIR[1] / height)
        below = min(PAIR[0] / width, (PAIR[1] - GAP) / (2 * height))
        axis, scale = (1, beside) if beside >= below else (0, below)
        picture = np.asarray(_small(photo, max(1, round(height * scale))), np.float32)
        size = picture.shape[1], picture.shape[0]
        colours = np.asarray(image.convert("RGB").resize(size, Image.Resampling.NEAREST), np.float32)
    share = STRENGTH * colours.any(axis=2, keepdims=True)
    blended = picture * (1 - share) + colours * share
    sides = [_with_boxes(side.astype(np.uint8), boxes) for side in (picture, blended)]
    gap = np.full((GAP, size[0], 3) if axis == 0 else (size[1], GAP, 3), 255, np.uint8)
    return _jpeg(Image.fromarray(np.concatenate([sides[0], gap, sides[1]], axis=axis)))


def contact_sheet(figures: list[tuple[bytes, str, str]], kind="small") -> str:
    """(JPEG bytes, caption, name of the picture) -> HTML, as many in a row as fit; `kind`: a CSS class."""
    cells = [
        f'<figure title="{html.escape(name)}"><img alt="{html.escape(name)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{html.escape(caption)}<small>{html.escape(name)}</small></figcaption></figure>"
        for data, caption, name in figures
    ]
    return f"<div class='sheet {kind}'>{''.join(cells)}</div>"


def _with_boxes(pixels, boxes):
    """Pixels uint8 (h, w, 3) with the outlines of boxes in [0, 1]: white in black, seen on any ground."""
    image, (height, width, _) = Image.fromarray(pixels), pixels.shape
    draw = ImageDraw.Draw(image)
    for left, top, right, bottom in boxes:
        corners = [left * (width - 1), top * (height - 1), right * (width - 1), bottom * (height - 1)]
        draw.rectangle(corners, outline="black", width=3)
        inner = [corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1]
        if inner[0] < inner[2] and inner[1] < inner[3]:
            draw.rectangle(inner, outline="white")
    return np.asarray(image)


def _small(path: Path, height: int) -> Image.Image:
    """The picture of a file in RGB, `height` pixels high."""
    with Image.open(path) as image:
        size = max(1, round(image.width * height / image.height)), height
        # a JPEG is decoded at a fraction of its size, as long as twice the size that is wanted remains
        image.draft("RGB", (2 * size[0], 2 * size[1]))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
