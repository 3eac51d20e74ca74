"""Whatever is sent to the fitting room, the answer is a picture or a plain sentence, and it lives on."""

import io

import numpy as np
import pytest
from PIL import Image

from demo.tryon.mask_editor import show_mask
from demo.tryon.offers import draw_clothes, draw_people
from demo_server import Files, connected, refused
from photo_files import png_of_size
from tryon_server import SIZE

PEOPLE, CLOTHES = draw_people(SIZE), draw_clothes(SIZE)
DOLL, CLOTH = (Image.fromarray(offers[0].pixels) for offers in (PEOPLE, CLOTHES))
NAN = float("nan")
QUICK = dict(steps=1, seed=1, preview=False, api_name="/fit")
PAINT = "Paint with the brush"


def encode(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def frames(form):
    return encode(DOLL.convert("P"), form, save_all=True, append_images=[CLOTH.convert("P")])


# (bytes, the name's end, what is said of it as a person's photo, as a garment's picture; None: it is read)
PHOTOS = {
    "of no bytes": (b"", ".png", "no picture", "no picture"),
    "text named png": (b"no picture", ".png", "no picture", "no picture"),
    "text named jpg": (b"%PDF-1.7", ".jpg", "no picture", "no picture"),
    "truncated PNG": (encode(DOLL)[:900], ".png", "no picture|damaged", "no picture|damaged"),
    "truncated JPEG": (encode(DOLL, "JPEG")[:700], ".jpg", "no picture|damaged", "no picture|damaged"),
    "PostScript": (encode(DOLL, "EPS"), ".png", "no picture|damaged", "no picture|damaged"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ".svg", "no picture", "no picture"),
    "animated GIF": (frames("GIF"), ".gif", r"is an animation \(GIF\)", r"is an animation \(GIF\)"),
    "animated WebP": (frames("WEBP"), ".webp", r"is an animation \(WEBP\)", r"is an animation \(WEBP\)"),
    "of 10 pixels": (encode(CLOTH.resize((10, 10))), ".png", "is 10 x 10 pixels", "is 10 x 10 pixels"),
    "of 20 pixels": (encode(CLOTH.resize((20, 20))), ".png", "would be enlarged", "would be enlarged"),
    "of a line": (encode(DOLL.resize((900, 17))), ".png", "900 x 17 pixels", "900 x 17 pixels"),
    "of 16 bits": (
        encode(Image.fromarray(np.full(SIZE, 999, np.uint16))), ".png", "16 bits or more", "16 bits or more",
    ),
    "12,000 pixels wide": (
        encode(Image.new("L", (12_000, 9_000))), ".png", "12000 x 9000 pixels", "12000 x 9000 pixels",
    ),
    "of far more pixels": (
        png_of_size(60_000, 60_000), ".png", "no picture|far more", "no picture|far more",
    ),
    "CMYK": (encode(CLOTH.convert("CMYK"), "TIFF"), ".tif", PAINT, None),
    "grey": (encode(DOLL.convert("L")), ".png", PAINT, None),
    "with alpha": (encode(CLOTH.convert("RGBA")), ".png", PAINT, None),
    "palette": (encode(CLOTH.convert("P")), ".png", PAINT, None),
    "without a person": (encode(Image.new("RGB", (300, 400), "tan")), ".png", PAINT, None),
    "sideways": (encode(DOLL.rotate(90, expand=True).resize((480, 360))), ".png", PAINT, None),
}  # fmt: skip
VALUES = {
    "category unknown": (dict(category="hat"), "It is a: choose from upper .top., lower"),
    "category a list": (dict(category=["upper"]), "It is a: choose from|a garment is upper"),
    "pictures beyond": (dict(num_samples=13), "Pictures: a number from 1 to 12 is wanted, got 13"),
    "pictures none": (dict(num_samples=None), "Pictures: a number from 1 to 12"),
    "pictures a text": (dict(num_samples="many"), "Pictures: a number from 1 to 12 is wanted, got many"),
    "steps zero": (dict(steps=0), "Steps: a number from 1 to 100"),
    "steps huge": (dict(steps=10**12), "Steps: a number from 1 to 100"),
    "guidance beyond": (dict(guidance=99), "Guidance: a number from 0 to 10"),
    "guidance nan": (dict(guidance=NAN), "guidance must be|Guidance|Out of range"),
    "strength zero": (dict(strength=0), "Strength: a number from 0.05 to 1"),
    "strength a text": (dict(strength="full"), "Strength: a number from 0.05 to 1"),
    "seed below": (dict(seed=-2), "a number from -1 to 4294967295 is wanted, got -2"),
    "seed beyond": (dict(seed=2**40), "a number from -1 to 4294967295"),
    "seed with too many": (dict(seed=2**32 - 1, num_samples=3), "seed 4294967295 is too large for 3"),
    "sampler unknown": (dict(sampler="euler"), "Sampler: choose from ddim"),
    "sampler a list": (dict(sampler=["ddim"]), "sampler must be one of|Sampler: choose from"),
    "outside unknown": (dict(outside="nothing"), "Outside the pink part: choose from the photo stays"),
    "mask's way unknown": (dict(mask_way="by magic"), "Find it by itself: choose from around the body"),
    "way unknown": (dict(way="all"), "Try on: choose from one garment"),
    "no further garments": (dict(way="each garment by itself"), "No further garments are chosen"),
    "no further people": (dict(way="on several people"), "No further people are chosen"),
    "garment that is not offered": (
        dict(way="each garment by itself", further_garments=["a hat"]), "Further garments: choose from",
    ),
    "garments that are no list": (
        dict(way="one garment after another", further_garments="Purple top"), "Further garments|garments",
    ),
    "words long": (dict(prompt="a " * 5000), "Words has 9999 characters: 2000 at most"),
    "words with a null byte": (dict(prompt="a\0b"), "Words holds characters that no file takes"),
    "preview a text": (dict(preview="no"), "preview must be true or false"),
    "worn a text": (dict(worn="yes"), "worn must be true or false"),
    "worn without a mask": (dict(worn=True), "Mark the garment on the person who wears it"),
    "no person": (dict(person=None), "There is no person yet"),
    "no garment": (dict(garment=None), "There is no garment yet"),
    "person a word": (dict(person="a tall man"), "no picture|has not the form|upload it first"),
}  # fmt: skip


@pytest.fixture(scope="module")
def client(room_server):
    return connected(room_server.url)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def good(files):
    return dict(person=files.file(DOLL), garment=files.file(CLOTH))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_persons_photo_that_cannot_be_dressed_is_refused_with_the_reason(client, files, good, name):
    content, suffix, message, _ = PHOTOS[name]
    refused(client, message, **QUICK | good | dict(person=files.file(content, suffix)))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_garments_picture_is_read_or_refused_with_the_reason(client, files, good, name):
    content, suffix, _, message = PHOTOS[name]
    values = QUICK | good | dict(garment=files.file(content, suffix))
    if message is None:
        assert len(client.predict(**values)) == 1
    else:
        refused(client, message, **values)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_cannot_be_is_named_with_what_is_wanted(client, good, name):
    changes, message = VALUES[name]
    refused(client, message, **QUICK | good | changes)


def editor(files, background, *layers):
    pictures = [files.file(Image.fromarray(layer)) for layer in layers]
    return dict(background=background and files.file(background), layers=pictures, composite=None)


def layer(*size, alpha=255):
    return np.full((*size, 4), alpha, np.uint8)


def shown(person):
    return Image.fromarray(show_mask(person.pixels, None)["background"])


MASKS = {
    "covers all": lambda files: (editor(files, None, layer(*SIZE)), "The mask covers the whole photo"),
    "covers nothing": lambda files: (editor(files, None, layer(*SIZE, alpha=0)), "The mask is empty"),
    "of nothing but the photo": lambda files: (editor(files, shown(PEOPLE[0])), "The mask is empty"),
    "of another photo": lambda files: (
        editor(files, shown(PEOPLE[1]), layer(640, 480)), "painted over another photo",
    ),
    "of another shape": lambda files: (editor(files, None, layer(50, 90)), "not of one shape"),
    "too large": lambda files: (editor(files, None, layer(5000, 16)), "sides of at most"),
    "of too many layers": lambda files: (editor(files, None, *[layer(8, 6)] * 6), "layers, at most 4"),
    "no picture": lambda files: (
        dict(background=None, layers=[files.file(b"hello")], composite=None), "this is no picture",
    ),
    "a text": lambda files: ("hello", "has not the form"),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_cannot_be_painted_by_is_refused(client, files, good, name):
    value, message = MASKS[name](files)
    refused(client, message, **QUICK | good | dict(mask=value))


def test_another_category_than_is_in_sight_is_drawn_or_refused_in_words(client, files, good):
    """A doll to the hip has legs to paint on, however little; a garment of another kind is taken as said."""
    skirt = next(offer for offer in CLOTHES if offer.category == "lower")
    value = good | dict(garment=files.file(Image.fromarray(skirt.pixels)), category="lower")
    (picture,) = client.predict(**QUICK | value)
    assert picture["caption"].endswith("fidelity n/a")


def test_the_server_lives_on_and_kept_its_pictures_apart(client, room_server, good):
    assert len(client.predict(**QUICK | good)) == 1
    kept = list((room_server.folder / "sessions").rglob("*.png"))
    assert kept and all(path.parent.parent.name.startswith("garments_") for path in kept)
