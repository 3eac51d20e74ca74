"""Grounding DINO: given phrases, their boxes, and people for the cleaning of data."""

import shutil

import numpy as np
import pytest
from PIL import Image

from annotator.caption.captioners import GroundingDinoOptions
from annotator.caption.grounding_dino import as_question
from planted_pictures import noted
from preparation import PrepareOptions
from preparation.people import detect_unlabelled, load_detector
from small_captioners import captioner_folder, load_small, some_pictures

PHRASES = ["a red dress", "Blue jeans", "hat", "a woman in red", "shirt"]


@pytest.fixture(scope="module")
def captioner():
    return load_small("grounding_dino", box_threshold=0.5)


def line(**captions):
    return dict(target="target/1.jpg", captions=captions)


def test_phrases_are_asked_as_the_model_reads_them():
    assert as_question(["A red  Dress", "t-shirt. What?"]) == "a red dress . t-shirt what ."


def test_boxes_are_those_of_the_published_processing(captioner):
    """Whose labels are words from here and there; ours are one of the phrases that were asked for."""
    (picture,) = some_pictures()[:1]
    (found,) = captioner.find([picture], [PHRASES])
    inputs = captioner.prepare(images=Image.fromarray(picture), text=as_question(PHRASES))
    (wanted,) = captioner.processor.post_process_grounded_object_detection(
        captioner.model(**inputs), inputs["input_ids"], threshold=0.5, text_threshold=0.5
    )
    places = [tuple(np.round(box, 4)) for box in wanted["boxes"].detach().numpy().clip(0, 1)]
    labels = [label.replace(".", " ").split() for label in wanted["text_labels"]]
    published = dict(zip(places, zip(wanted["scores"].tolist(), labels, strict=True), strict=True))
    assert found and set(found) <= set(PHRASES)
    for phrase, boxes in found.items():
        for score, box in boxes:
            best, label = published[tuple(np.round(np.float32(box), 4))]
            # published scores count the marks between phrases, too
            assert score <= best + 1e-6 and set(label) & set(phrase.lower().split())


def test_a_box_is_of_the_phrase_with_the_most_probable_word(captioner):
    import torch

    tokens = torch.tensor(
        captioner.processor.tokenizer(as_question(["red dress", "hat", "shirt"]))["input_ids"]
    )
    marks = captioner.processor.tokenizer.convert_ids_to_tokens(tokens.tolist())
    assert marks == ["[CLS]", "red", "dress", ".", "hat", ".", "shirt", ".", "[SEP]"]
    scores = torch.full((4, 9), 0.1)
    scores[0, 2], scores[0, 4] = 0.9, 0.8
    scores[1, 4] = 0.6
    scores[2, [0, 3, 5, 8]] = 0.99
    scores[3, 6] = 0.5
    boxes = torch.arange(16.0).reshape(4, 4)
    answer = captioner._answer(["red dress", "hat", "shirt"], tokens, scores, boxes)
    assert [(phrase, round(score, 3), box[0]) for phrase, score, box in answer] == [
        ("red dress", 0.9, 0),
        ("hat", 0.6, 4),
    ]


def test_a_caption_is_what_was_found_in_the_order_asked(captioner):
    captions = captioner.caption(some_pictures(), ";".join(PHRASES))
    for caption in captions:
        names = [phrase for phrase, _ in caption.phrases]
        assert caption.text == ", ".join(names) and names == [p for p in PHRASES if p in names]
        assert caption.scores["found"] == len(names) / len(PHRASES) and 0.5 < caption.scores["score"] <= 1
        boxes = np.array([box for _, boxes in caption.phrases for box in boxes])
        assert (boxes >= 0).all() and (boxes <= 1).all() and (boxes[:, :2] <= boxes[:, 2:]).all()
    assert any(len(caption.phrases) < len(PHRASES) for caption in captions)


def test_lines_are_searched_for_their_own_phrases(captioner):
    pictures = some_pictures()[:3]
    lines = [line(garments="a red dress, hat"), line(garments=""), line(garments="shirt")]
    captions = captioner.caption_lines(lines, pictures)
    assert captions[0] == captioner.caption(pictures[:1], "a red dress;hat")[0]
    assert (captions[1].text, captions[1].phrases, captions[1].scores) == ("", [], {})
    assert {phrase for phrase, _ in captions[2].phrases} <= {"shirt"}


def test_phrases_of_the_options_go_before_those_of_lines(captioner):
    fixed = load_small("grounding_dino", box_threshold=0.5, phrases="hat; shirt")
    pictures = some_pictures()[:1]
    assert fixed.caption_lines([line()], pictures) == captioner.caption(pictures, "hat;shirt")
    assert fixed.caption(pictures) == captioner.caption(pictures, "hat;shirt")


def test_phrases_beyond_the_model_s_text_are_asked_in_a_second_question(captioner, monkeypatch):
    monkeypatch.setattr(captioner.model.config, "max_text_len", 9)
    assert captioner._questions(PHRASES) == [PHRASES[:2], ["hat", "a woman in red"], ["shirt"]]
    with pytest.raises(ValueError, match="too long for Grounding DINO, is it one.*red red"):
        captioner._questions(["hat", "red " * 9])


def test_lines_without_the_column_are_refused(captioner):
    with pytest.raises(ValueError, match="1.jpg has no captions of the column 'garments', there are caption"):
        captioner.caption_lines([line(caption="a hat")], some_pictures()[:1])


def test_nothing_to_look_for_is_an_error(captioner):
    with pytest.raises(ValueError, match="no phrases to look for: give phrases="):
        captioner.caption(some_pictures())
    with pytest.raises(ValueError, match=r"box_threshold must be in \[0, 1\], got 35"):
        load_small("grounding_dino", box_threshold=35)


def test_it_finds_people_for_the_cleaning_of_data(tmp_path, monkeypatch):
    """As any detector does: pixels, float32, scores; and shares of whole pictures."""
    folder = captioner_folder("grounding_dino")
    PrepareOptions(person_detector=str(folder)).check()
    detector = load_detector(folder, "auto")
    monkeypatch.setattr(detector.dino, "options", GroundingDinoOptions(box_threshold=0.5))
    pictures = [picture[:32, :20] for picture in some_pictures()[2:]]
    found = detector.detect(pictures)
    assert [rows.shape[1] for rows in found] == [5] * 3 and sum(map(len, found))
    rows = np.concatenate(found)
    assert rows.dtype == np.float32 and (rows[:, 4] > 0.5).all()
    assert (rows[:, [0, 2]] <= 20).all() and (rows[:, [1, 3]] <= 32).all() and rows[:, 3].max() > 20
    records = []
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        records.append(noted(str(number), target=f"{number}.png", target_crc=number, size=[32, 20], boxes=[]))
    shares = detect_unlabelled(tmp_path, records, folder)
    assert list(shares) == ["0", "1", "2"] and all(0 <= share <= 1 for share in shares.values())


def test_a_person_detector_that_lacks_a_file_is_refused_before_the_work_begins(tmp_path):
    folder = shutil.copytree(captioner_folder("grounding_dino"), tmp_path / "dino")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="dino has no tokenizer.json .*IDEA-Research"):
        PrepareOptions(person_detector=str(folder)).check()
