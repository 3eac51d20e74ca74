"""Numbers of one prepared picture, from which preparation.checks judges it."""

import base64

import cv2
import numpy as np
from PIL import Image, ImageOps

# Gaussian sigmas in pixels: the finer drowns the noise of sensor and JPEG, which no blurred edge outweighs
FINE, COARSE = 1.0, 3.0
NO_EDGES = 20.0
SMALL_SIDE = 128
YCRCB = cv2.COLOR_RGB2YCrCb
# luma, Cr, Cb between which skin of all tones lies, with wood, sand and brass
SKIN_FROM, SKIN_TO = (50, 138, 80), (255, 173, 122)
THUMBNAIL = 16
CHROMA_THUMBNAIL = 8


def measure(pixels, boxes, photo, crop) -> dict:
    """A prepared picture => its numbers, ready for JSON; None where a number can't be told.

    Args:
        pixels: the crop uint8 (h, w, 3), RGB.
        boxes: the garments' boxes (example.Box) in the crop's pixels.
        photo: photo.Photo of which the crop was cut.
        crop: has `scale`, the photo's pixels per pixel of the crop.
    Returns:
        edge_width: Gaussian sigma in pixels of the strongest edges around the garments; 20 if there are none.
        upscale: pixels of the crop per pixel of the photo; above 1 it was blown up.
        brightness: luma in [0, 255] that 2 % of the picture exceed, but three times the mean at most: black
            clothes leave a face, and a black picture with a white button is black.
        darkness: luma in [0, 255] that 2 % of the picture stay below: hair and shadows before a white wall.
        colour: distance in [0, 180] of the picture's most colourful 0.5 % from one tint of grey.
        jpeg_quality: of the file in [1, 100]; None if not a JPEG, or shrunk by half and more.
        blockiness: edges on the grid of JPEG's blocks over edges off it; 1 for none.
        garment_share: the share of the picture that the garments' boxes cover together.
        skin_outside: the share of the picture in skin-coloured blobs far from any garment, a guess; None if
            there are no boxes.
        phash, phash_mirrored: perceptual hash of the picture and of its mirror image, 16 hex digits.
        thumbnail: luma uint8 (16, 16), base64. thumbnail_chroma: Cr and Cb uint8 (8, 8, 2), base64.
        photo: the same four of the whole photo, of which a smaller copy may have another crop.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(pixels, _small_size(pixels), interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, YCRCB)
    whole = photo.small()
    garments = _clip(boxes, luma.shape)
    darkest, brightest = _percentiles(luma, (2, 98))
    mean = float(luma.mean(dtype=np.float64))
    return {
        "edge_width": round(edge_width(_around(luma, garments)), 2),
        "upscale": round(1 / crop.scale, 3),
        "brightness": round(min(brightest, 3 * mean), 1),
        "darkness": darkest,
        "colour": round(colour(small), 1),
        "jpeg_quality": photo.jpeg_quality if crop.scale < 2 else None,
        "blockiness": _blockiness_if_visible(luma, photo, crop.scale),
        "garment_share": round(float(_covered(garments, luma.shape).mean()), 4),
        "skin_outside": round(skin_outside(small, garments, luma.shape), 4) if garments else None,
        **_fingerprints(luma, small),
        "photo": _fingerprints(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY), cv2.cvtColor(whole, YCRCB)),
    }


def edge_width(luma) -> float:
    """Gaussian sigma in pixels of the strongest edges of luma uint8 (h, w): about 0.5 sharp, 4 a blur.

    An edge of width s, blurred by t, has a gradient energy as 1 / sqrt(s^2 + t^2) per length: the quotient of
    two blurs gives s whatever the edges' contrast and number, so that flat clothes are no fault.
    """
    values = luma.astype(np.float32)
    fine, coarse = (_gradient_energy(cv2.GaussianBlur(values, (0, 0), sigma)) for sigma in (FINE, COARSE))
    strong = (coarse >= np.percentile(coarse[::3, ::3], 98)).astype(np.uint8)
    strong = cv2.dilate(strong, np.ones((13, 13), np.uint8)) > 0
    if coarse[strong].mean() < 0.05:
        return NO_EDGES
    quotient = float(fine[strong].sum(dtype=np.float64) / coarse[strong].sum(dtype=np.float64)) ** 2
    variance = (COARSE**2 - FINE**2) / max(quotient - 1, 1e-6) - FINE**2
    return min(max(variance, 0.0) ** 0.5, NO_EDGES)


def _gradient_energy(values):
    across = cv2.Sobel(values, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(values, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return across * across + down * down


def colour(ycrcb) -> float:
    """Distance of the most colourful 0.5 % of YCrCb uint8 (h, w, 3) from the best line of chroma over luma.

    0 for grey, for a uniform cast and for sepia unless its highlights are clipped; a face or one red shoe is
    enough to be far from it.
    """
    flat = ycrcb.reshape(-1, 3).astype(np.float64)
    offset = flat - flat.mean(axis=0)
    slope = offset[:, :1].T @ offset[:, 1:] / max(float(offset[:, 0] @ offset[:, 0]), 1.0)
    return float(np.percentile(np.linalg.norm(offset[:, 1:] - offset[:, :1] * slope, axis=1), 99.5))


def _blockiness_if_visible(luma, photo, scale: float):
    """Blockiness in both directions; None if the photo is no JPEG or its blocks were shrunk away."""
    if photo.jpeg_quality is None or photo.decoded_scale != 1 or not 0.5 <= scale <= 1.25:
        return None
    return round(min(blockiness(luma, scale), blockiness(luma.T, scale)), 3)


def blockiness(luma, scale: float) -> float:
    """Mean step across columns on the grid of 8 / scale pixels over the mean step off it; any grid's start.

    Steps are clipped, so that contours, which follow no grid, weigh no more than the seams of flat blocks.
    """
    steps = np.minimum(cv2.absdiff(luma[:, 1:], luma[:, :-1]), 12).mean(axis=0, dtype=np.float64)
    phases = ((np.arange(len(steps)) + 0.5) * scale).astype(np.int64) % 8
    means = np.bincount(phases, steps, 8) / np.maximum(np.bincount(phases, minlength=8), 1)
    return float((means.max() + 0.05) / (np.median(means) + 0.05))


def skin_outside(ycrcb, garments, shape) -> float:
    """The share of a picture in skin-coloured blobs that no garment's box is near.

    Args:
        ycrcb: the picture, shrunk, uint8 (h, w, 3).
        garments: boxes (left, top, right, bottom) in its pixels before it was shrunk.
        shape: its height and width before.

    A guess: wood and sand have the colour of skin, and somebody close to the garments is not seen. Boxes grow
    by three quarters of their longer side, which takes in the wearer's own face, arms and legs.
    """
    height, width = shape
    skin = cv2.inRange(ycrcb, SKIN_FROM, SKIN_TO)
    for left, top, right, bottom in garments:
        reach = 0.75 * max(right - left, bottom - top)
        rows = [int(y * skin.shape[0] / height) for y in (max(0, top - reach), bottom + reach)]
        columns = [int(x * skin.shape[1] / width) for x in (max(0, left - reach), right + reach)]
        skin[slice(*rows), slice(*columns)] = 0
    _, _, blobs, _ = cv2.connectedComponentsWithStats(cv2.medianBlur(skin, 3), connectivity=8)
    blob_width, blob_height, area = (blobs[1:, i].astype(np.float64) for i in (2, 3, 4))
    share = area / skin.size
    like_a_limb = (share > 0.002) & (share < 0.1) & (area > 0.4 * blob_width * blob_height)
    return float(share[like_a_limb].sum())


def _fingerprints(luma, ycrcb) -> dict:
    import imagehash

    image = Image.fromarray(luma)
    # the size in which imagehash.phash hashes: so the mirrored hash costs no second resize
    shrunk = image.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3)
    thumbnail = cv2.resize(luma, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    chroma = np.ascontiguousarray(ycrcb[:, :, 1:])
    chroma = cv2.resize(chroma, (CHROMA_THUMBNAIL, CHROMA_THUMBNAIL), interpolation=cv2.INTER_AREA)
    return {
        "phash": str(imagehash.phash(shrunk)),
        "phash_mirrored": str(imagehash.phash(ImageOps.mirror(shrunk))),
        "thumbnail": base64.b64encode(thumbnail.tobytes()).decode(),
        "thumbnail_chroma": base64.b64encode(chroma.tobytes()).decode(),
    }


def _small_size(pixels) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    factor = min(1.0, SMALL_SIDE / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _clip(boxes, shape) -> list[tuple[int, int, int, int]]:
    """Boxes in whole pixels (left, top, right, bottom) inside a picture of shape (h, w), no empty ones."""
    whole = [
        (
            max(0, int(b.left)),
            max(0, int(b.top)),
            min(shape[1], round(b.right)),
            min(shape[0], round(b.bottom)),
        )
        for b in boxes
    ]
    return [box for box in whole if box[0] < box[2] and box[1] < box[3]]


def _covered(boxes, shape):
    """Where any box lies: bool (h, w)."""
    covered = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = True
    return covered


def _around(luma, boxes):
    """The part of a picture around all boxes, with their contours; all of it if there are none."""
    if not boxes:
        return luma
    left, top, right, bottom = np.array(boxes).T
    return luma[max(0, top.min() - 4) : bottom.max() + 4, max(0, left.min() - 4) : right.max() + 4]


def _percentiles(luma, shares) -> list[int]:
    """The values of uint8 pixels below which these percentages lie."""
    cumulative = np.cumsum(cv2.calcHist([luma], [0], None, [256], [0, 256]))
    return [int(np.searchsorted(cumulative, share / 100 * luma.size)) for share in shares]
