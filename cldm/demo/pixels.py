"""Arrays as files: palette maps as PNG, and what tells one array from another."""

import hashlib
import io

from PIL import Image


def palette_png(ids, encoder) -> bytes:
    """Region ids uint8 (h, w) as a palette PNG in the encoder's colours, as a training folder's maps."""
    image, buffer = Image.fromarray(ids), io.BytesIO()
    image.putpalette([value for colour in encoder.colours for value in colour])
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def digest_of(array) -> str:
    """The start of the SHA-256 of an array's bytes and shape."""
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:16]
