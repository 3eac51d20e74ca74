"""Kosmos-2: boxes of whole pictures, one prompt for all, and what the caption does not repeat."""

import numpy as np
import pytest
import torch
from PIL import Image

from annotator.caption.kosmos2 import pad_to_square, unpad_box
from small_captioners import load_small, some_pictures

CELL = 1 / 32
PROMPTS = ["the", "a woman in red and a man with a blue hat", "a dress", "man", "red jeans in the street"]


@pytest.fixture(scope="module")
def captioner():
    return load_small("kosmos2", max_new_tokens=8)


@pytest.fixture
def says(captioner, monkeypatch):
    """Makes the captioner say given texts, one for each picture of a batch."""

    def say(*texts):
        tokenize = captioner.processor.tokenizer
        rows = [tokenize(text, add_special_tokens=False)["input_ids"] for text in texts]
        longest = max(map(len, rows))
        rows = torch.tensor([row + [tokenize.pad_token_id] * (longest - len(row)) for row in rows])
        monkeypatch.setattr(
            captioner,
            "generate",
            lambda inputs: (torch.cat([inputs["input_ids"], rows], 1), [{} for _ in texts]),
        )
        return captioner

    return say


def blank(height, width):
    return np.zeros((height, width, 3), np.uint8)


def box_tokens(left, top, right, bottom):
    """A box between the middles of cells of a 32 x 32 grid."""
    return f"<patch_index_{32 * top + left:04}><patch_index_{32 * bottom + right:04}>"


@pytest.mark.parametrize("size", [(4, 7), (7, 4), (5, 5), (1, 6), (6, 3)])
def test_a_padded_picture_lies_in_the_middle_of_its_square(size):
    image = np.random.default_rng(0).integers(1, 256, (*size, 3), np.uint8)
    square = pad_to_square(image, (0, 0, 0))
    side = max(size)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    assert square.shape == (side, side, 3) and square.dtype == np.uint8
    np.testing.assert_array_equal(square[top : top + size[0], left : left + size[1]], image)
    assert (square > 0).sum() == image.size


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (33, 20), (20, 33), (16, 16)])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 0.875)])
def test_a_box_of_the_picture_comes_back_from_its_square(size, box):
    height, width = size
    side = max(size)
    top, left = (side - height) // 2, (side - width) // 2
    padded = [
        (start + part * length) / side
        for part, length, start in zip(box, (width, height) * 2, (left, top) * 2, strict=True)
    ]
    np.testing.assert_allclose(unpad_box(padded, height, width), box, atol=1e-9)


def test_boxes_are_cut_at_the_picture_s_edge_and_dropped_beyond_it():
    assert unpad_box((0, 0, 1, 1), 40, 20) == (0, 0, 1, 1)
    assert unpad_box((0, 0.5, 0.5, 1), 40, 20) == (0, 0.5, 0.5, 1)
    assert unpad_box((0, 0, 0.25, 1), 40, 20) is None
    assert unpad_box((0.8, 0, 0.9, 1), 40, 20) is None
    assert unpad_box((0.6, 0.2, 0.4, 0.8), 40, 40) is None


def test_phrases_have_their_boxes_in_the_unpadded_picture(says):
    red, blue = box_tokens(8, 0, 23, 31), box_tokens(12, 16, 19, 23)
    captioner = says(
        f"<phrase> a red dress</phrase><object>{red}</object> and<phrase> a hat</phrase>"
        f"<object>{blue}</delimiter_of_multi_objects/>{box_tokens(0, 2, 3, 9)}</object>"
    )
    (caption,) = captioner.caption([blank(64, 32)])
    assert caption.text == "a red dress and a hat"
    (dress, (whole,)), (hat, boxes) = caption.phrases
    assert (dress, hat) == ("a red dress", "a hat") and len(boxes) == 1
    np.testing.assert_allclose(whole, (CELL, CELL / 2, 1 - CELL, 1 - CELL / 2), atol=1e-9)
    np.testing.assert_allclose(boxes[0], (9 * CELL, 16.5 * CELL, 23 * CELL, 23.5 * CELL), atol=1e-9)


def test_the_prompt_is_no_part_of_the_caption_but_its_phrases_count(says):
    captioner = says("a woman", f"<object>{box_tokens(1, 1, 3, 3)}</object>")
    captions = captioner.caption([blank(32, 32)] * 2, "<grounding><phrase> a hat</phrase>")
    assert captions[0].text == "a woman" and not captions[0].phrases
    assert captions[1].text == "" and captions[1].phrases[0][0] == "a hat" and captions[1].phrases[0][1]


def test_boxes_without_a_phrase_are_left_out(says):
    captioner = says(f"a dress <object>{box_tokens(1, 1, 3, 3)}</object>")
    (caption,) = captioner.caption([blank(32, 32)])
    assert caption.text == "a dress" and not caption.phrases


def test_head_and_feet_of_a_long_picture_are_seen(captioner):
    """The processor of the tiny model would cut them off."""
    pictures = [blank(64, 32) for _ in range(3)]
    pictures[1][:12] = 255
    pictures[2][52:] = 255
    scores = [caption.scores["log_probability"] for caption in captioner.caption(pictures)]
    assert len(set(scores)) == 3


def test_scores_are_the_mean_log_probabilities_of_the_caption_s_tokens(captioner):
    """Against one forward pass over prompt and caption."""
    pictures = [Image.fromarray(pad_to_square(picture, (122, 117, 104))) for picture in some_pictures()]
    inputs = captioner.prepare(images=pictures, text=["An image of"] * 5)
    tokens, scores = captioner.generate(inputs)
    length = inputs["input_ids"].shape[1]
    mask = torch.nn.functional.pad(inputs["image_embeds_position_mask"], (0, tokens.shape[1] - length))
    with torch.no_grad():
        logits = captioner.model(
            pixel_values=inputs["pixel_values"], input_ids=tokens, image_embeds_position_mask=mask
        ).logits
    wanted = logits[:, length - 1 : -1].log_softmax(-1).gather(2, tokens[:, length:, None])[..., 0]
    assert not (tokens[:, length:] == 2).any()
    np.testing.assert_allclose([s["log_probability"] for s in scores], wanted.mean(1), atol=1e-4)


@pytest.fixture
def said(captioner, monkeypatch):
    """said(prompts, which): what follows a prompt for each picture of a slice, in one call of the model."""
    processor, model = captioner.processor, captioner.model
    monkeypatch.setattr(processor.tokenizer, "padding_side", "left")
    squares = [Image.fromarray(pad_to_square(picture, (0, 0, 0))) for picture in some_pictures()]

    def say(prompts, which=slice(None)):
        inputs = processor(images=squares[which], text=prompts, padding=True, return_tensors="pt")
        return model.generate(**inputs, max_new_tokens=8)[:, inputs["input_ids"].shape[1] :].tolist()

    return say


@pytest.fixture
def alone(said):
    return [said([prompt], slice(i, i + 1))[0] for i, prompt in enumerate(PROMPTS)]


def test_pictures_that_share_a_prompt_say_what_each_says_alone(said, alone):
    assert [said([prompt] * 5)[i] for i, prompt in enumerate(PROMPTS)] == alone


@pytest.mark.xfail(strict=True, reason="transformers takes the padding of shorter prompts for words")
def test_prompts_of_unequal_length_say_what_each_says_alone(said, alone):
    """Why all pictures of a call share one prompt: once this passes, they no longer need to."""
    assert said(PROMPTS) == alone
