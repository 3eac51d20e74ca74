"""Models that answer questions about pictures, Florence-2's tasks, and BLIP: what they are asked and say."""

import shutil

import numpy as np
import pytest
import torch

from annotator.caption.vlm import cut_prompt, find_task, read_answer
from small_captioners import captioner_folder, load_small, some_pictures

GROUNDING = "<CAPTION_TO_PHRASE_GROUNDING>"


@pytest.fixture(scope="module")
def qwen():
    return load_small("qwen", max_new_tokens=8)


@pytest.fixture(scope="module")
def florence():
    return load_small("florence", max_new_tokens=8, prompt="<CAPTION>")


def tokens_of(florence, text):
    return torch.tensor(florence.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def lines(*texts):
    return [dict(target=f"{i}.jpg", captions=dict(caption=text)) for i, text in enumerate(texts)]


def test_only_what_was_generated_is_the_caption(qwen):
    """Of a model that repeats the prompt, and whose folder asks for chance."""
    question = "what does she wear?"
    captions = qwen.caption(some_pictures(), question)
    assert not any("what" in caption.text or "assistant" in caption.text for caption in captions)
    assert captions == qwen.caption(some_pictures(), question)
    assert captions != qwen.caption(some_pictures(), "which colours?")


def test_questions_of_unequal_length_do_not_disturb_each_other(qwen):
    pictures, texts = some_pictures()[:3], ["a", "a red dress with a hat, blue jeans", "two shirts"]
    asking = load_small("qwen", max_new_tokens=8, prompt="Is it", source="caption")
    together = asking.caption_lines(lines(*texts), pictures)
    for text, picture, caption in zip(texts, pictures, together, strict=True):
        alone = qwen.caption([picture], f"Is it {text}")[0]
        assert alone.text == caption.text
        assert alone.scores["log_probability"] == pytest.approx(caption.scores["log_probability"], abs=1e-4)


def test_line_breaks_are_no_part_of_a_caption(qwen, monkeypatch):
    monkeypatch.setattr(qwen.processor.tokenizer, "batch_decode", lambda *_, **__: [" a shirt,\n\na  skirt "])
    assert qwen.caption(some_pictures()[:1])[0].text == "a shirt, a skirt"


def test_a_folder_without_its_chat_template_is_refused(tmp_path):
    folder = shutil.copytree(captioner_folder("qwen"), tmp_path / "qwen")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="image_pad.*has chat_template.jinja .*folder lacks it"):
        load_small("qwen", folder).caption(some_pictures()[:1])


@pytest.mark.parametrize("repeated", [True, False])
def test_a_prompt_is_cut_off_where_a_model_repeats_it(repeated):
    prompt, said = torch.tensor([[5, 6], [1, 6]]), torch.tensor([[7, 8, 2], [9, 2, 1]])
    tokens = torch.cat([prompt, said], 1) if repeated else said
    assert cut_prompt(tokens, prompt).equal(said)


def test_florence_answers_tasks_only(florence, qwen):
    assert find_task(florence.processor, "<OD>") == "<OD>"
    assert find_task(florence.processor, f"{GROUNDING} a dress") == GROUNDING
    assert find_task(qwen.processor, "what is it?") is None
    for question in ("what is it?", "", "<OCR_WITH_REGION>", "<REGION_TO_SEGMENTATION>", "<NONE>"):
        with pytest.raises(ValueError, match="Florence-2 answers one of .*<MORE_DETAILED_CAPTION>"):
            find_task(florence.processor, question)


def test_boxes_of_florence_are_places_of_a_thousand(florence):
    boxes = "<loc_0><loc_499><loc_249><loc_999><loc_10><loc_20><loc_30><loc_40>"
    said = f"</s><s>a red dress{boxes}a hat<loc_9><loc_8><loc_5><loc_9></s><pad>"
    text, phrases = read_answer(
        florence.processor, GROUNDING, f"{GROUNDING} a red dress, a hat", tokens_of(florence, said)
    )
    assert text == "a red dress, a hat"
    # the hat's box ends before it begins
    assert [phrase for phrase, _ in phrases] == ["a red dress"]
    wanted = [(0.0005, 0.4995, 0.2495, 0.9995), (0.0105, 0.0205, 0.0305, 0.0405)]
    np.testing.assert_allclose(phrases[0][1], wanted, atol=1e-9)


@pytest.mark.parametrize("task", ["<OD>", "<DENSE_REGION_CAPTION>", "<OPEN_VOCABULARY_DETECTION>"])
def test_a_detection_s_caption_names_what_was_detected(florence, task):
    one, two, three = (
        "".join(f"<loc_{side}>" for side in box) for box in ((0, 0, 9, 9), (0, 1, 9, 9), (1, 1, 5, 5))
    )
    said = f"</s><s>hat{one}shirt{two}hat{three}</s>"
    text, phrases = read_answer(florence.processor, task, task, tokens_of(florence, said))
    assert text == "hat, shirt" and [len(boxes) for _, boxes in phrases] == [2, 1]


def test_florence_s_captions_have_no_filling(florence):
    text, phrases = read_answer(
        florence.processor, "<CAPTION>", "<CAPTION>", tokens_of(florence, "</s><s>a woman</s><pad><pad>")
    )
    assert (text, phrases) == ("a woman", [])


def test_lines_give_florence_what_to_ground(florence):
    grounding = load_small("florence", max_new_tokens=8, prompt=GROUNDING, source="caption")
    pictures, texts = some_pictures()[:2], ["a woman in red", "a hat"]
    captions = grounding.caption_lines(lines(*texts), pictures)
    assert [caption.text for caption in captions] == texts
    for picture, text, caption in zip(pictures, texts, captions, strict=True):
        alone = florence.caption([picture], f"{GROUNDING} {text}")[0]
        assert alone.scores["log_probability"] == pytest.approx(caption.scores["log_probability"], abs=1e-4)
    with pytest.raises(ValueError, match="0.jpg has no captions of the column 'caption', there are none"):
        grounding.caption_lines([dict(target="0.jpg")], pictures[:1])


def test_blip_goes_on_from_its_prompt_without_repeating_it():
    """Against the model itself, token by token."""
    blip = load_small("blip", max_new_tokens=5, prompt="a woman in")
    tokenizer, picture = blip.processor.tokenizer, some_pictures()[1]
    inputs = blip.prepare(images=picture, text="a woman in")
    row = torch.cat(
        [torch.tensor([[tokenizer.convert_tokens_to_ids("[DEC]")]]), inputs["input_ids"][:, 1:-1]], 1
    )
    values = []
    for _ in range(5):
        logits = blip.model(pixel_values=inputs["pixel_values"], input_ids=row).logits[0, -1].log_softmax(-1)
        values.append(logits.max().item())
        row = torch.cat([row, logits.argmax()[None, None]], 1)
    (caption,) = blip.caption([picture])
    assert caption.text == tokenizer.decode(row[0, 4:]) and len(caption.text.split()) == 5
    assert caption.scores["log_probability"] == pytest.approx(np.mean(values), abs=1e-5)


def test_a_score_counts_a_row_s_tokens_to_its_end_and_no_filling():
    from annotator.caption.pretrained import Recorder

    recorder = Recorder()
    for probabilities in ([0.5, 0.25], [0.5, 0.9], [0.9, 0.3]):
        best = torch.tensor(probabilities)
        recorder(None, torch.stack([best, (1 - best) / 2, (1 - best) / 2], 1).clamp(min=1e-9).log())
    tokens = torch.tensor([[7, 5, 2, 0], [7, 5, 6, 4]])
    means = [row["log_probability"] for row in recorder.means(tokens, [2, 0])]
    assert means[0] == pytest.approx((np.log(0.5) + np.log(0.5)) / 2)
