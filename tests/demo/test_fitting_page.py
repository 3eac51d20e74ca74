"""The fitting room as users meet it: a process of its own, by gradio_client and in a real browser."""

import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.tryon.mask_editor import find_tinted
from demo.tryon.offers import draw_clothes, draw_people
from demo_server import Files, connected
from tryon_server import SIZE

PEOPLE, CLOTHES = draw_people(SIZE), draw_clothes(SIZE)
REQUEST = dict(steps=2, seed=7, api_name="/fit")


@pytest.fixture(scope="module")
def client(room_server):
    return connected(room_server.url)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def chosen(files):
    """A person's and a garment's file."""
    pictures = dict(person=PEOPLE[0].pixels, garment=CLOTHES[0].pixels)
    return {name: files.file(Image.fromarray(pixels)) for name, pixels in pictures.items()}


def pixels(shown):
    return np.asarray(Image.open(shown["image"]).convert("RGB"))


def test_two_files_are_enough_and_progress_and_previews_are_seen(client, chosen):
    job = client.submit(**chosen, **REQUEST | dict(steps=30, num_samples=2))
    seen = set()
    while not job.done():
        seen |= {(unit.index, unit.length) for unit in job.status().progress_data or []}
        time.sleep(0.02)
    pictures = job.result()
    assert [p["caption"].split(" · ")[1] for p in pictures] == ["seed 7", "seed 8"]
    assert all("ΔE" in p["caption"] for p in pictures)  # dolls: what is right is known
    assert all(pixels(p).shape == (*SIZE, 3) for p in pictures)
    assert seen and all(0 < step <= 30 and steps == 30 for step, steps in seen)
    previews = [shown[-1]["caption"] for shown in job.outputs()[:-1]]
    assert previews and all(caption.startswith("preview after") for caption in previews)


def test_a_photo_of_somebody_else_is_dressed_where_the_mask_says(client, files, chosen):
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    photo = np.asarray(Image.fromarray(noise).resize((96, 128), Image.Resampling.BICUBIC))
    mask = np.zeros((*SIZE, 4), np.uint8)
    mask[40:80, 30:60] = 255
    value = dict(background=None, layers=[files.file(Image.fromarray(mask))], composite=None)
    person = files.file(Image.fromarray(photo))
    (picture,) = client.predict(person=person, garment=chosen["garment"], mask=value, **REQUEST)
    changed = (pixels(picture) != photo).any(-1)
    assert changed[40:80, 30:60].mean() > 0.5 and changed.sum() == changed[40:80, 30:60].sum()
    assert picture["caption"].endswith("fidelity n/a")


def test_the_found_mask_pose_and_parts_are_handed_out(client, chosen):
    value, note, pose, parts = client.predict(photo=chosen["person"], api_name="/find_mask")
    shown = np.asarray(Image.open(value["background"]).convert("RGB"))
    assert 0.05 < find_tinted(shown, PEOPLE[0].pixels).mean() < 0.5 and note == ""
    assert Image.open(pose).size == Image.open(parts).size == SIZE[::-1]
    again = client.predict(**chosen, mask=as_input(value), **REQUEST)
    found = client.predict(**chosen, **REQUEST)
    assert np.array_equal(pixels(again[0]), pixels(found[0]))


def as_input(value):
    from gradio_client import handle_file

    layers = [handle_file(layer) for layer in value["layers"]]
    return dict(background=handle_file(value["background"]), layers=layers, composite=None)


def test_several_garments_come_in_turn_or_as_a_lookbook_and_in_one_zip(room_server, chosen):
    client = connected(room_server.url)  # a session of its own
    with pytest.raises(Exception, match="no pictures yet"):
        client.predict(api_name="/download")
    names = [offer.name for offer in CLOTHES[1:3]]
    book = client.predict(**chosen, way="each garment by itself", further_garments=names, **REQUEST)
    assert [p["caption"].split(" · ")[0] for p in book[:3]] == [CLOTHES[0].name, *names]
    assert len(book) == 4 and "lookbook" in book[3]["caption"]
    turn = client.predict(**chosen, way="one garment after another", further_garments=names[:1], **REQUEST)
    assert len(turn) == 2 and not np.array_equal(pixels(turn[0]), pixels(turn[1]))
    assert np.array_equal(pixels(turn[0]), pixels(book[0]))
    people = client.predict(**chosen, way="on several people", further_people=["Person 2"], **REQUEST)
    assert len(people) == 3
    with zipfile.ZipFile(client.predict(api_name="/download")) as archive:
        listed = archive.namelist()
        drawn = [name for name in listed if "_seed_" in name]
        assert len(drawn) == 3 + 2 + 2 and listed[-1] == "sheet.png"
        facts = json.loads(Image.open(io.BytesIO(archive.read(drawn[0]))).text["garment_controlnet"])
        assert facts["seed"] == 7 and facts["fitting"]["garment"]["name"] == CLOTHES[0].name
        assert str(room_server.folder) not in json.dumps(facts)


def test_a_pictures_settings_give_the_same_picture_again(client, files, chosen):
    made = client.predict(**chosen, **REQUEST | dict(strength=0.5, num_samples=2))[1]
    told = client.predict(path=files.file(Path(made["image"]).read_bytes()), api_name="/settings_of")
    assert told["missing"] == [] and told["person"] == PEOPLE[0].name and told["inputs"]["seed"] == 8
    again = client.predict(**chosen, **told["inputs"], api_name="/fit")
    assert np.array_equal(pixels(again[0]), pixels(made))


def test_a_cancelled_request_stops_and_the_next_one_runs(client, chosen):
    from demo_server import wait_for

    job = client.submit(**chosen, **REQUEST | dict(steps=100, num_samples=12))
    wait_for(lambda: job.status().progress_data)
    job.cancel()
    assert len(client.predict(**chosen, **REQUEST)) == 1


@pytest.mark.browser
def test_choosing_painting_trying_on_comparing_and_downloading_work_in_the_browser(
    room_server, tmp_path, browser
):
    from room_visit import visit

    requests = visit(browser, room_server.url, tmp_path)
    assert not [url for url in requests if not url.startswith((room_server.url, "blob:", "data:"))]


@pytest.mark.browser
@pytest.mark.parametrize("name", ["try_on_several", "read_everything", "find_everything_on_a_phone"])
def test_a_visit_to_the_room_finds_what_it_wants(room_server, tmp_path, browser, name):
    import room_visit
    from browser_visit import new_page

    with new_page(browser) as page:
        room_visit.opened_room(page, room_server.url)
        getattr(room_visit, name)(page, tmp_path)


def test_the_server_looked_up_no_name_but_its_own(room_server, client):
    names = room_server.looked_up()
    assert names and names <= {"127.0.0.1", "localhost"}
