"""Visitors' pictures are kept apart and only for a while; work can be stopped; models are exchanged."""

import weakref
import zipfile
from dataclasses import replace
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from demo import session as session_module
from demo.garments.drawing import DrawnPicture, map_to_keep
from demo.garments.loading import Models
from demo.garments.offers import read_templates
from demo.garments.page_options import add_garment, make_count_tokens
from demo.reports import Cancelled, stream_reports
from demo.session import Sessions
from demo_requests import REGIONS, drawn, small_demo, top_and_bottom
from ldm.modules.encoders.tokenizer import PromptTokenizer
from pictures.hint import HintEncoder


def picture(seed):
    facts = dict(prompt="a", negative_prompt="", steps=1, sampler="ddim", scale=3.0, seed=seed)
    facts |= dict(size=[64, 64], model="m", controls=[], photo=None)
    return DrawnPicture(np.zeros((64, 64, 3), np.uint8), facts, True, None).to_keep()


def test_sessions_have_folders_of_their_own_that_no_visitor_names():
    sessions = Sessions()
    first, second = sessions.of("../../evil"), sessions.of("b")
    assert sessions.of("../../evil") is first and first.folder != second.folder
    assert sessions.of(None) is not sessions.of(None)
    assert first.folder.parent == second.folder.parent and "evil" not in str(first.folder)


def test_a_visitor_who_leaves_stops_the_work_and_takes_the_pictures_along():
    sessions = Sessions()
    session = sessions.of("a")
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    sessions.end("a")
    assert session.cancelled.is_set() and not session.folder.exists()
    assert sessions.of("a").pictures == []
    sessions.end("who was never here")


def test_a_zip_holds_the_pictures_that_were_there_while_new_ones_push_them_out(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_PICTURES", 3)
    sessions, original = Sessions(), session_module.draw_session_sheet
    session = sessions.of("a")
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    session.keep([picture(0), picture(1)])
    drawing = []

    def sheet(pictures):
        drawing.append(Thread(target=session.keep, args=([picture(2), picture(3)],)))
        drawing[0].start()
        drawing[0].join(0.3)
        assert [path.name for path, _ in pictures] == ["0001_map.png", "0001_seed_0.png", "0001_seed_1.png"]
        return original(pictures)

    monkeypatch.setattr(session_module, "draw_session_sheet", sheet)
    with zipfile.ZipFile(session.archive()) as archive:
        assert len(archive.namelist()) == 4
    drawing[0].join()
    assert [path.name for path, _ in session.pictures] == [f"0001_seed_{i}.png" for i in (1, 2, 3)]


def test_what_a_visitor_cancelled_is_said_until_the_next_request():
    sessions = Sessions()  # whose folder lasts as long
    session = sessions.of("a")
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    session.keep([picture(7)])
    assert session.summarize() == "1 picture in this session."  # a map is none
    session.stop()
    assert session.cancelled.is_set() and session.summarize() == "Cancelled. 1 picture in this session."
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    assert not session.cancelled.is_set() and "Cancelled" not in session.summarize()


def test_the_longest_unused_of_too_many_sessions_goes(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_SESSIONS", 2)
    sessions = Sessions()
    first, second = sessions.of("a"), sessions.of("b")
    sessions.of("a"), sessions.of("c")
    assert first.folder.exists() and not second.folder.exists()


def test_a_request_that_is_being_drawn_outlasts_any_number_of_other_visitors(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_SESSIONS", 4)
    sessions = Sessions()
    waiting = sessions.of("b")
    with sessions.working("a") as session:
        for _ in range(20):
            sessions.of(None)
        assert not session.cancelled.is_set() and session.folder.exists()
        assert waiting.folder.exists()  # who has a page open goes behind programs that give no key
        for number in range(20):
            sessions.of(f"made up {number}")
        assert not session.cancelled.is_set() and session.folder.exists() and not waiting.folder.exists()
        assert len(list(session.folder.parent.iterdir())) == 4
    for number in range(4):
        sessions.of(f"later {number}")
    assert not session.folder.exists()


def test_a_session_keeps_its_newest_pictures_and_zips_them(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_PICTURES", 3)
    sessions = Sessions()
    session = sessions.of("a")
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    session.keep([picture(seed) for seed in range(3)])
    assert [path.name for path, _ in session.pictures] == [f"0001_seed_{seed}.png" for seed in range(3)]
    for _ in range(2):
        with zipfile.ZipFile(session.archive()) as archive:
            assert archive.namelist() == [f"0001_seed_{seed}.png" for seed in range(3)] + ["sheet.png"]
    assert len(list(session.folder.iterdir())) == 4  # neither the map nor the first zip is left


def test_reports_come_as_they_are_made_and_errors_where_they_are_waited_for():
    def work(report):
        report(1)
        report(2)
        raise ValueError("no third")

    got = []
    with pytest.raises(ValueError, match="no third"):
        for value in stream_reports(work, Event()):
            got.append(value)
    assert got == [1, 2]


@pytest.mark.parametrize("way", ["event", "close"])
def test_work_has_stopped_when_it_is_cancelled_or_nobody_listens(way):
    done, cancelled = [], Event()

    def work(report):
        try:
            while True:
                report(None)
        except Cancelled:
            done.append(True)
            raise

    stream = stream_reports(work, cancelled)
    next(stream)
    if way == "close":
        stream.close()
    else:
        cancelled.set()
        with pytest.raises(Cancelled):
            list(stream)
    assert done == [True]


def test_below_the_prompt_stands_how_much_of_it_the_model_reads():
    embedder = SimpleNamespace(tokenizer=PromptTokenizer(max_length=12))
    models = SimpleNamespace(demo=SimpleNamespace(model=SimpleNamespace(cond_stage_model=embedder)))
    count = make_count_tokens(models)
    assert count("a red top", "sharp") == "5 of 10 tokens" and count(None, "") == "0 of 10 tokens"
    assert "12 of 10 tokens: the model does not read “&lt; hat”" in count("a red top " * 3 + "a < hat", "")
    assert "at most" in count("a" * 3000, "")
    models.demo = None  # another model is being loaded
    assert count("a red top", "") == ""


def test_garments_join_the_prompt_with_their_article():
    assert add_garment("", "red", "dress") == "a person in a red dress"
    assert add_garment(None, "any", "evening gown") == "a person in an evening gown"
    assert add_garment("a person in a red top, ", "blue", "jeans") == "a person in a red top, blue jeans"


def test_templates_of_a_folder_come_with_their_prompts_and_others_are_named(tmp_path):
    from demo.garments.canvas import palette_png

    (tmp_path / "b_suit.png").write_bytes(palette_png(top_and_bottom(), REGIONS))
    (tmp_path / "a.png").write_bytes(palette_png(top_and_bottom(), REGIONS))
    (tmp_path / "a.txt").write_text("a red top\n")
    (tmp_path / "c.png").write_bytes(b"hello")
    warnings = []
    (_, *first), (ids, *second) = read_templates(tmp_path, REGIONS, warnings.append)
    assert first == ["a", "a red top"] and second == ["b suit", None]
    assert np.array_equal(ids, top_and_bottom())
    assert len(warnings) == 1 and "c.png is no template" in warnings[0]
    with pytest.raises(FileNotFoundError, match="--templates .* is no folder"):
        read_templates(tmp_path / "d", REGIONS)


def test_one_model_is_in_memory_at_a_time_and_one_that_does_not_fit_is_refused(tmp_path):
    for name in ("b.safetensors", "c.safetensors", "notes.txt"):
        (tmp_path / name).touch()

    def load(path):
        alive = [model() for model in loaded if model() is not None]
        demo = small_demo()
        loaded.append(weakref.ref(demo.model))
        assert not alive
        other = HintEncoder(("nothing", "cloth"), ((0, 0, 0), (1, 2, 3)))
        return replace(demo, encoder=other) if "c.safe" in str(path) else demo

    loaded = []
    models = Models(load, lambda demo: ("segment", "judge"), None, tmp_path)
    assert list(models.files) == ["small.safetensors", "b.safetensors", "c.safetensors"]
    segments = [models.get(name).segment for name in (None, "b.safetensors", "b.safetensors")]
    assert segments == ["segment"] * 3 and len(loaded) == 2 and models.get("b.safetensors").judge == "judge"
    with pytest.raises(ValueError, match="c.safetensors has other regions"):
        models.get("c.safetensors")
    assert models.get(None).model is loaded[-1]()
    with pytest.raises(ValueError, match="there is no model '../x'"):
        models.get("../x")


def test_a_cancelled_drawing_leaves_what_was_finished():
    seen, cancelled = [], Event()

    def work(report):
        from demo.garments.drawing import draw_request
        from demo_requests import request

        demo = small_demo(low_memory=True)
        draw_request(demo, request(demo), report)

    with pytest.raises(Cancelled):
        for told in stream_reports(work, cancelled):
            if isinstance(told, list):
                seen += told
                cancelled.set()
    assert [p.caption for p in seen] == ["seed 7"] and len(drawn(small_demo())[0]) == 2
