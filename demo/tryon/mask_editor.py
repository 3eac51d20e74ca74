"""The mask as the page's painter shows it, over the photo, and as it is read again."""

import base64
import binascii
import io

import numpy as np
from PIL import Image

from demo.photo import NO_PICTURE

NEW, STAYS = (214, 0, 110), (20, 140, 90)  # colours of what is drawn anew, and of what was painted to stay
OPACITY = 0.55  # of the mask that is shown over the photo
CANVAS = 640  # rows of the painter's picture at least
SEEN = 40  # of 255: alpha from which a stroke counts, so that its soft border does not
ANOTHER = "The mask was painted over another photo: choose the person anew, then paint."
CHANGED = 10.0  # mean levels by which a browser may have changed the photo under the mask


def show_mask(photo, mask) -> dict:
    """An image editor's value: a photo uint8 (H, W, 3), tinted where a mask bool (H, W) is, None for none.

    Strokes in NEW add to the mask, those in STAYS take away from it; see read_mask.
    """
    picture = enlarge(photo)
    if mask is not None:
        covered = Image.fromarray(mask).resize(picture.shape[1::-1], Image.Resampling.NEAREST)
        picture = np.where(np.asarray(covered)[..., None], tint(picture), picture)
    return dict(background=picture, layers=[], composite=None)


def tint(picture) -> np.ndarray:
    """A picture uint8 (h, w, 3) as it is shown where it is drawn anew."""
    return np.rint((1 - OPACITY) * picture + OPACITY * np.float32(NEW)).astype(np.uint8)


def enlarge(photo) -> np.ndarray:
    """A photo uint8 (H, W, 3) so many times as large that it can be painted on."""
    factor = max(1, -(-CANVAS // photo.shape[0]))
    size = factor * photo.shape[1], factor * photo.shape[0]
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


def read_mask(value: dict | None, photo):
    """The mask bool (H, W) that is painted over a photo uint8 (H, W, 3); None where nothing was sent.

    Raises:
        ValueError: it is painted over another photo, covers all or nothing, or has another shape.
    """
    layers = [np.asarray(layer) for layer in (value or {}).get("layers") or () if layer is not None]
    background = (value or {}).get("background")
    if background is None and not layers:
        return None
    mask = np.zeros(photo.shape[:2], bool)
    if background is not None:
        mask = find_tinted(np.asarray(background), photo)
    for layer in layers:
        new, stays = find_painted(layer)
        mask = (mask | fit_mask(new, photo)) & ~fit_mask(stays, photo)
    return check_mask(mask)


def check_mask(mask):
    """The mask itself; ValueError for one that covers all or nothing."""
    if not mask.any():
        raise ValueError("The mask is empty: paint over what is to be new, or let the mask be found again.")
    if mask.all():
        raise ValueError("The mask covers the whole photo: leave what is to stay, the face for example.")
    return mask


def find_painted(layer):
    """Where a layer uint8 (h, w, 4) says that it is new, and where that it stays, bool (h, w) each.

    A picture without transparency says it by black and white.
    """
    alpha = layer[..., 3]
    if (alpha == 255).all():
        return layer[..., 0] > 127, np.zeros(alpha.shape, bool)
    to_new, to_stays = (np.abs(layer[..., :3] - np.float32(colour)).sum(-1) for colour in (NEW, STAYS))
    stays = to_stays < np.minimum(to_new, 150)
    return (alpha > SEEN) & ~stays, (alpha > SEEN) & stays


def find_tinted(background, photo) -> np.ndarray:
    """Where an editor's background uint8 (h, w, 3 or 4) shows a photo uint8 (H, W, 3) tinted, bool (H, W).

    ValueError where it shows another photo.
    """
    shown = enlarge(photo)
    if abs(background.shape[0] * photo.shape[1] / (background.shape[1] * photo.shape[0]) - 1) > 0.02:
        raise ValueError(ANOTHER)
    sent = Image.fromarray(background[..., :3])
    if sent.size != shown.shape[1::-1]:
        sent = sent.resize(shown.shape[1::-1], Image.Resampling.NEAREST)
    far, far_tinted = (
        np.abs(np.asarray(sent).astype(np.float32) - each).sum(-1) for each in (shown, tint(shown))
    )
    if np.minimum(far, far_tinted).mean() > 3 * CHANGED:
        raise ValueError(ANOTHER)
    return fit_mask(far_tinted < far, photo)


def fit_mask(mask, photo) -> np.ndarray:
    """A painted mask bool (h, w) at a photo's size (H, W): a pixel is new if half of it is painted."""
    (h, w), (height, width) = mask.shape, photo.shape[:2]
    if abs(h * width / (w * height) - 1) > 0.02:
        raise ValueError(f"The mask is {w} x {h} pixels, the photo {width} x {height}: not of one shape.")
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    return np.asarray(scaled) >= 128


def mask_text(mask) -> str:
    """A mask bool (H, W) as text, for a picture's metadata."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def read_mask_text(text, size) -> np.ndarray:
    """What `mask_text` was given, of a size (H, W); ValueError for what is damaged."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",)) as image:
            if image.size != size[::-1]:
                raise ValueError("The mask in the picture is of another size than this page's pictures.")
            mask = np.asarray(image.convert("L")) > 127
    except (binascii.Error, OSError, SyntaxError, TypeError) as error:
        raise ValueError("The mask in the picture is damaged. " + NO_PICTURE.format("mask")) from error
    return check_mask(mask)
