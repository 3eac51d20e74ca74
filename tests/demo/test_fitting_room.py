"""The fitting room without its page: who is offered, what is painted, how well it is done, and again."""

import io
import json
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from annotator.agnostic.photos import PersonFinder
from annotator.segment import load_segmenter
from cldm.model import create_model
from demo.guards import guard_gradio
from demo.session import Sessions
from demo.tryon.drawing import draw_fittings
from demo.tryon.fidelity import describe, judge, redraw
from demo.tryon.fitted import Fitted
from demo.tryon.lookbook import draw_lookbook
from demo.tryon.mask_editor import NEW, STAYS, mask_text, read_mask, read_mask_text, show_mask
from demo.tryon.offers import Offer, gather_offers
from demo.tryon.page_inputs import (
    garment_panel,
    option_inputs,
    people_for,
    person_panel,
    silhouette_inputs,
    way_inputs,
)
from demo.tryon.page_settings import as_html, restore_settings
from demo.tryon.request import IN_TURN, LOOKBOOK, NOT_KEPT, OUTSIDE, PEOPLE, Inputs, read_request
from demo.tryon.room import BODY, NO_CHECKPOINT, WORN, find_checkpoint, load_room
from evaluation.redrawing import GARMENTS
from generation.branches import Branch
from generation.picture_text import KEY, read_facts
from pictures.hint import HintEncoder
from pictures.region_maps import encode_map
from pictures.regions import REGIONS_FILE, standard_regions
from preparation.one_photo import encode_picture
from small_fittings import draw_fittings as make_folder
from sources import ROOT
from tryon_server import RECIPE, SIZE, write_checkpoint

QUICK = dict(steps=2, seed=5, preview=False)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    finder = PersonFinder(load_segmenter(ROOT / "models/tiny/segmenter.safetensors", "cpu"), None)
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("room"))
    return load_room(checkpoint, lambda size: gather_offers(None, None, size), finder, "cpu", config=RECIPE)


@pytest.fixture
def ask(room, tmp_path):
    """ask(**changes): the FitRequest of the first person in the first garment, or of other Inputs."""

    def request(known=lambda digest: None, **changes):
        for kind, offers in (("person", room.offers.people), ("garment", room.offers.clothes)):
            chosen = changes.get(kind, offers[0])
            if isinstance(chosen, Offer):
                (tmp_path / f"{kind}.png").write_bytes(encode_picture(chosen.pixels))
                changes[kind] = str(tmp_path / f"{kind}.png")
        return read_request(Inputs(**QUICK | changes), room, known)

    return request


def drawn(room, request):
    """(finished pictures, Steps)."""
    told = []
    draw_fittings(room, request, told.append)
    finished = [picture for part in told if isinstance(part, list) for picture in part]
    return finished, [step for step in told if not isinstance(step, list)]


def test_without_a_checkpoint_it_is_said_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="make tryon") as caught:
        find_checkpoint(None)
    assert str(caught.value) == NO_CHECKPOINT
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors is missing"):
        find_checkpoint(tmp_path / "nowhere.safetensors")
    for name in ("runs/a", "runs/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "tryon.safetensors").touch()
    (tmp_path / "runs/b/control.safetensors").touch()
    assert find_checkpoint(None).name == "tryon.safetensors"


def test_drawn_people_have_a_mask_for_what_can_be_seen_of_them(room):
    assert len({offer.name for offer in (*room.offers.people, *room.offers.clothes)}) == len(
        room.offers.people
    ) + len(room.offers.clothes)
    for category in room.categories:
        for offer in people_for(room, category):
            person = room.frame(offer)
            mask = room.find_mask(person, category)
            assert mask.shape == SIZE and 0.03 < mask.mean() < 0.5, offer.name
            # the face stays
            x, y = person.pose.points["nose"]
            assert not mask[int(y), int(x)]


def test_a_photo_in_which_nothing_is_known_of_the_body_is_masked_along_what_is_worn(room):
    doll = room.offers.people[2]
    person = room.frame(Offer("a photo", doll.pixels))
    assert person.pose is None
    with pytest.raises(ValueError, match="nothing is known of the body. Paint with the brush"):
        room.find_mask(person, "upper", BODY)
    mask, known = room.find_mask(person, "upper", WORN), room.find_mask(room.frame(doll), "upper", WORN)
    assert (mask & known).sum() / (mask | known).sum() > 0.8
    nobody = room.frame(Offer("a wall", np.full((*SIZE, 3), 140, np.uint8)))
    with pytest.raises(ValueError, match="Paint with the brush"):
        room.find_mask(nobody, "upper", WORN)


def test_folders_are_offered_with_what_they_know(tmp_path, room):
    data = make_folder(tmp_path / "dolls", 2, 2, drawn=SIZE)
    offers = gather_offers(data, data, SIZE)
    assert len(offers.people) == len(offers.clothes) == 4
    assert offers.people[0].name.startswith("test")  # held-out ones first
    person = room.frame(offers.people[0])
    folders_own = np.asarray(Image.open(data / "mask" / f"{offers.people[0].name}.png")) > 127
    assert np.array_equal(room.find_mask(person, "upper"), folders_own)
    assert redraw(offers.people[0], offers.clothes[1], SIZE) is not None

    (tmp_path / "shop/lower").mkdir(parents=True)
    for place in ("blue_shirt.jpg", "lower/jeans.png"):
        Image.new("RGB", (60, 80), "blue").save(tmp_path / "shop" / place)
    (tmp_path / "shop/broken.png").write_text("no picture")
    warnings = []
    clothes = gather_offers(None, tmp_path / "shop", SIZE, warnings.append).clothes
    assert [(offer.name, offer.category) for offer in clothes] == [
        ("blue shirt", "upper"),
        ("jeans", "lower"),
    ]
    assert len(warnings) == 1 and "broken.png is not offered" in warnings[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="--garments .*empty has no pictures"):
        gather_offers(None, tmp_path / "empty", SIZE)
    with pytest.raises(FileNotFoundError, match="--people .* is no folder"):
        gather_offers(tmp_path / "nowhere", None, SIZE)


def as_sent(value):
    """What an image editor hands out of what it was given."""
    opaque = np.full((*value["background"].shape[:2], 1), 255, np.uint8)
    return value | dict(background=np.concatenate([value["background"], opaque], 2))


def test_a_mask_that_nobody_has_touched_is_read_as_it_was_shown(room):
    person = room.frame(room.offers.people[3])
    mask = room.find_mask(person, "upper")
    value = as_sent(show_mask(person.offer.pixels, mask))
    assert np.array_equal(read_mask(value, person.offer.pixels), mask)
    assert np.array_equal(read_mask_text(mask_text(mask), SIZE), mask)
    layer = np.zeros((*value["background"].shape[:2], 4), np.uint8)
    factor = layer.shape[0] // SIZE[0]
    layer[: 20 * factor, : 30 * factor] = *NEW, 255
    layer[60 * factor : 70 * factor] = *STAYS, 255
    edited = read_mask(value | dict(layers=[layer]), person.offer.pixels)
    assert edited[:20, :30].all() and not edited[60:70].any()
    assert np.array_equal(edited[70:], mask[70:])


def test_a_mask_may_be_a_picture_in_black_and_white(room):
    person = room.frame(room.offers.people[0]).offer.pixels
    picture = np.zeros((64, 48, 4), np.uint8)
    picture[..., 3] = 255
    picture[10:20, 5:30] = 255
    mask = read_mask(dict(background=None, layers=[picture]), person)
    assert mask[20:40, 10:60].all() and mask.sum() == 20 * 50


def test_masks_that_cannot_be_are_refused(room):
    person, other = (room.frame(room.offers.people[i]).offer.pixels for i in (0, 1))
    mask = np.zeros(SIZE, bool)
    assert read_mask(None, person) is None and read_mask(dict(background=None, layers=[]), person) is None
    for value, words in [
        (show_mask(person, mask), "The mask is empty"),
        (show_mask(person, ~mask), "The mask covers the whole photo"),
        (show_mask(other, ~mask), "painted over another photo"),
        (dict(background=None, layers=[np.full((50, 50, 4), 255, np.uint8)]), "not of one shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            read_mask(value, person)


def test_what_lies_outside_the_mask_stays_to_the_pixel_and_previews_are_told(room, ask):
    (picture,), steps = drawn(room, ask(preview=True, steps=5))
    person = room.offers.people[0]
    mask = room.find_mask(room.frame(person), "upper")
    changed = (picture.pixels != person.pixels).any(-1)
    assert not changed[~mask].any() and changed[mask].mean() > 0.5
    assert [step.done for step in steps] == [1, 2, 3, 4, 5] and {step.total for step in steps} == {5}
    assert any(step.preview is not None and step.preview.shape == (*SIZE, 3) for step in steps)
    (free,), _ = drawn(room, ask(outside="drawn anew"))
    assert (free.pixels != person.pixels).any(-1)[~mask].mean() > 0.5


def test_a_painted_mask_is_what_is_painted_and_a_seed_gives_the_same_again(room, ask):
    person = room.offers.people[0].pixels
    mask = np.zeros(SIZE, bool)
    mask[30:60, 20:50] = True
    request = ask(mask=as_sent(show_mask(person, mask)), num_samples=2)
    first, second = drawn(room, request)[0]
    assert not (first.pixels != person).any(-1)[~mask].any()
    assert [p.facts["seed"] for p in (first, second)] == [5, 6]
    alone = drawn(room, ask(mask=as_sent(show_mask(person, mask)), seed=6))[0][0]
    assert np.abs(alone.pixels.astype(int) - second.pixels).max() <= 1


def test_garments_in_turn_are_worn_by_the_person_of_the_picture_before(room, ask):
    person = next(offer for offer in room.offers.people if offer.category == "lower")
    skirt = next(offer for offer in room.offers.clothes if offer.category == "lower")
    request = ask(person=person, way=IN_TURN, further_garments=[skirt.name])
    first, second = drawn(room, request)[0]
    assert np.array_equal(second.before, first.pixels)
    upper, lower = (room.find_mask(room.frame(person), category) for category in ("upper", "lower"))
    changed = (second.pixels != first.pixels).any(-1)
    assert not changed[~lower].any() and changed[lower].any()
    assert not (first.pixels != person.pixels).any(-1)[~upper].any()
    # by hand: the first picture is the next person, whose pose is still known
    sessions, fitted = Sessions(), Fitted()
    session = sessions.of("a")
    session.begin([])
    fitted.keep(session, session.keep([first.to_keep(0)]), [first])
    again = ask(
        lambda digest: fitted.find(session, digest),
        person=Offer("", first.pixels), garment=skirt, category="lower",
    )  # fmt: skip
    assert np.array_equal(drawn(room, again)[0][0].pixels, second.pixels)
    assert fitted.find(session, "of nobody") is None and fitted.of_file(session, "nothing.png") is None


def test_a_lookbook_shows_each_garment_on_the_person_and_several_people_the_garment(room, ask):
    names = [offer.name for offer in room.offers.clothes[1:3]]
    request = ask(way=LOOKBOOK, further_garments=names)
    pictures = drawn(room, request)[0]
    assert [p.garment.name for p in pictures] == [room.offers.clothes[0].name, *names]
    assert all(np.array_equal(p.before, room.offers.people[0].pixels) for p in pictures)
    sheet = Image.open(io.BytesIO(draw_lookbook(request, pictures)))
    assert sheet.width > 3 * 240 and sheet.height > 2 * 240
    request = ask(way=PEOPLE, further_people=["Person 3"])
    first, second = drawn(room, request)[0]
    assert np.array_equal(second.before, room.offers.people[2].pixels)
    assert draw_lookbook(request, [first, second])
    assert [kind for kind, _ in request.given] == ["person", "person", "garment"]


def test_fidelity_knows_the_truth_of_dolls_and_says_so_where_nobody_can(room):
    person, garment, other = room.offers.people[0], *room.offers.clothes[:2]
    mask = room.find_mask(room.frame(person), "upper")
    truth = redraw(person, garment, SIZE).truth
    right = judge(person, garment, truth, mask)
    assert all(value == 1 for name, value in right.items() if name != "delta_e") and right["delta_e"] == 0
    assert "told from 15 others" in describe(right)
    wrong = judge(person, garment, redraw(person, other, SIZE).truth, mask)
    assert wrong[GARMENTS] == 0 and wrong["delta_e"] > 5 and "taken for another" in describe(wrong)
    lower = next(offer for offer in room.offers.clothes if offer.category == "lower")
    for pair in [
        (person, replace(garment, line=None)),
        (replace(person, line=None), garment),
        (person, lower),
    ]:
        assert judge(*pair, truth, mask) == {} and describe({}) == "fidelity n/a"


def test_a_worn_garment_is_cut_out_of_a_photo_by_the_brush(room, ask):
    doll = room.offers.people[1]
    mask = room.find_mask(room.frame(doll), "upper", WORN)
    request = ask(garment=doll, worn=True, worn_mask=as_sent(show_mask(doll.pixels, mask)), category="upper")
    (garment, _), chain = request.chains[0].garments[0], request.chains[0]
    item = room.make_item(chain.person, garment, "upper", room.find_mask(chain.person, "upper"))
    covered = item["garment_mask"][..., 0] > 0
    white = (item["garment"][~covered] > 0.9).all(-1)
    assert white.mean() > 0.95 and 0.2 < covered.mean() < 0.9
    with pytest.raises(ValueError, match="Mark the garment"):
        ask(garment=doll, worn=True)


@pytest.fixture(scope="module")
def components(room):
    """The page's inputs by the names of Inputs, without the page around them."""
    guard_gradio()
    with gr.Blocks(analytics_enabled=False):
        person_panel(room), garment_panel(room)
        parts = [*way_inputs(room), *option_inputs(room), *silhouette_inputs(room)[0]]
        names = list(Inputs.__dataclass_fields__)[-len(parts) :]
        found = dict(zip(names, parts, strict=True))
        category = gr.Radio(room.categories, label="It is a")
        found |= dict(category=category, mask_way=gr.Radio([BODY, WORN]), worn=gr.Checkbox(label="worn"))
    return {name: part for name, part in found.items() if name not in NOT_KEPT or name == "seed"}


def test_a_pictures_settings_give_the_same_picture_again(room, ask, components, tmp_path):
    person, garment = room.offers.people[4], room.offers.clothes[2]
    mask = np.zeros(SIZE, bool)
    mask[40:90, 20:80] = True
    value = as_sent(show_mask(person.pixels, mask))
    request = ask(
        person=person,
        garment=garment,
        mask=value,
        strength=0.5,
        guidance=1.5,
        prompt="a person",
        num_samples=2,
    )
    picture = drawn(room, request)[0][1]
    (tmp_path / "made.png").write_bytes(picture.to_keep(0).content)
    found = restore_settings(tmp_path / "made.png", components, room)
    assert found.missing == [] and (found.person, found.garment) == (person, garment)
    assert found.values["seed"] == 6 and found.values["num_samples"] == 1
    assert np.array_equal(read_mask_text(found.mask, SIZE), mask)
    given = {name: v for name, v in found.values.items() if name != "preview"}
    again = ask(person=found.person, garment=found.garment, mask=value, **given)
    assert np.array_equal(drawn(room, again)[0][0].pixels, picture.pixels)
    assert "Taken over" in as_html(found)


def test_settings_name_what_the_page_has_not_and_refuse_what_was_changed(room, ask, components, tmp_path):
    photo = Offer("a photo", np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8))
    mask = np.zeros(SIZE, bool)
    mask[40:90] = True
    value = as_sent(show_mask(photo.pixels, mask))
    path = tmp_path / "made.png"
    path.write_bytes(drawn(room, ask(person=photo, mask=value))[0][0].to_keep(0).content)
    found = restore_settings(path, components, replace(room, digest="another"))
    assert found.person is None and len(found.missing) == 2
    assert "the person, your photo: choose it" in found.missing[0] and "another" in found.missing[1]
    facts = read_facts(path)

    def changed(**values):
        told = json.loads(json.dumps(facts))
        told["fitting"]["inputs"] |= values
        info = PngInfo()
        info.add_itxt(KEY, json.dumps(told))
        Image.new("RGB", (8, 8)).save(path, pnginfo=info)
        return path

    for values, words in [
        (dict(steps=10**6), "damaged. Steps"),
        (dict(strength="much"), "damaged. "),
        (dict(outside="nowhere"), "damaged. "),
        (dict(mask="no base64"), "The mask in the picture is damaged"),
        (dict(mask=mask_text(np.ones((8, 8), bool))), "of another size"),
    ]:
        with pytest.raises(ValueError, match=words):
            restore_settings(changed(**values), components, room)
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(ValueError, match="does not say how it was made"):
        restore_settings(path, components, room)


def test_a_silhouette_is_followed_by_the_control_beside_the_garment(room, ask, tmp_path):
    branch = Branch(control_of(room), HintEncoder.from_file(REGIONS_FILE))
    ids = np.zeros(SIZE, np.uint8)
    ids[40:80, 30:60] = 1
    (tmp_path / "map.png").write_bytes(encode_map(ids, standard_regions().colours))
    silhouette = dict(silhouette=str(tmp_path / "map.png"))
    with pytest.raises(ValueError, match="start the page with --control"):
        ask(**silhouette)
    controlled = replace(room, branch=branch, branch_file="control.safetensors")

    def draw(**changes):
        offers = room.offers
        for name, offer in dict(person=offers.people[0], garment=offers.clothes[0]).items():
            (tmp_path / f"{name}.png").write_bytes(encode_picture(offer.pixels))
            changes[name] = str(tmp_path / f"{name}.png")
        return drawn(controlled, read_request(Inputs(**QUICK | changes), controlled, lambda digest: None))[0][
            0
        ]

    free, followed, off = draw(), draw(**silhouette), draw(**silhouette, silhouette_strength=0)
    assert np.array_equal(free.pixels, off.pixels) and not np.array_equal(free.pixels, followed.pixels)
    assert followed.facts["controls"][0]["file"] == "control.safetensors" and free.facts["controls"] == []
    Image.new("L", SIZE[::-1], 99).save(tmp_path / "map.png")
    with pytest.raises(ValueError, match="The silhouette: The picture is greyscale"):
        draw(**silhouette)


def control_of(room):
    """A control branch of the room's base, in which no tensor is zero."""
    model = create_model(ROOT / "models/cldm_tiny.yaml")
    torch.manual_seed(0)
    for parameter in model.control_model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model.control_model.eval().requires_grad_(False)


def test_where_the_photo_stays_is_what_the_page_begins_with():
    assert next(iter(OUTSIDE.values())) == "paste"
