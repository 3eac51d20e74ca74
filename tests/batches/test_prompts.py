"""A policy builds prompts of what a line has: within the budget, by weight, never inside a phrase."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from batches.mixed_prompts import MixedPrompts, read_tokenizer
from batches.prompt_policies import read_policy
from batches.prompts import PromptPolicy, build, check_line
from ldm.modules.encoders.tokenizer import PromptTokenizer
from sources import ROOT

GARMENTS = ["a red striped dress", "a double breasted jacket", "two pairs of socks", "a hat"]
LINE = dict(
    target="0.png",
    prompt="the line's own",
    captions=dict(garments=", ".join(GARMENTS), caption="a woman in a dress, in a park", blip="somebody"),
)
GARMENTS_FIRST = PromptPolicy(({"garments": 1}, {"caption": 1}), budget=0)
TOKENIZER = PromptTokenizer()


def count(text):
    return len(TOKENIZER.encode(text))


def draws(policy, num, line=LINE):
    return [build(policy, line, count, np.random.default_rng(i)) for i in range(num)]


def test_rows_follow_each_other_and_the_fixed_version_is_what_plain_rows_draw():
    wanted = f"{', '.join(GARMENTS)}, a woman in a dress, in a park"
    assert build(GARMENTS_FIRST, LINE).text == wanted
    assert {prompt.text for prompt in draws(GARMENTS_FIRST, 5)} == {wanted}


@pytest.mark.parametrize("model", ["cldm_v15", "cldm_v21", "cldm_tiny"])
def test_prompts_fit_the_budget_as_the_models_own_tokenizer_counts_it(model):
    tokenizer = read_tokenizer(ROOT / "models" / f"{model}.yaml")
    phrases = [f"a {word} embroidered turtleneck" for word in ("red", "beige", "houndstooth", "paisley") * 6]
    line = LINE | dict(captions=dict(garments=", ".join(phrases)))
    prompts = MixedPrompts(replace(GARMENTS_FIRST, budget=75, prefix="a photo of "), [line], tokenizer)
    text, cut, _ = prompts.fixed(0)
    assert tokenizer.vocab_size == (4608 if model == "cldm_tiny" else 49408)
    assert (tokenizer(text)[0] == tokenizer.end).any() and len(tokenizer.encode(text)) <= 75
    assert len(tokenizer.encode(f"{text}, {cut[0]}")) > 75
    assert text.removeprefix("a photo of ").split(", ") + cut == phrases


def test_whole_phrases_go_from_the_end_until_the_rest_fits():
    for budget in range(1, 40):
        prompt = build(replace(GARMENTS_FIRST, budget=budget), LINE, count)
        kept = prompt.text.split(", ")
        assert kept + prompt.cut == [*GARMENTS, "a woman in a dress", "in a park"]
        assert count(prompt.text) <= budget or len(kept) == 1
        assert not prompt.cut or count(f"{prompt.text}, {prompt.cut[0]}") > budget


def test_a_phrase_longer_than_the_budget_is_left_whole():
    line = dict(prompt=" ".join(["dress"] * 80) + ", a hat")
    policy = replace(GARMENTS_FIRST, budget=75)
    assert build(policy, line, count)[:2] == (" ".join(["dress"] * 80), ["a hat"])


def test_prefix_and_suffix_are_kept_whole_inside_the_budget():
    policy = replace(GARMENTS_FIRST, prefix="a photo of ", suffix=" (studio light)", budget=20)
    for prompt in draws(replace(policy, shuffle=True), 20):
        assert prompt.text.startswith("a photo of ") and prompt.text.endswith(" (studio light)")
        assert prompt.cut and count(prompt.text) <= 20


def test_one_source_is_drawn_by_weight_among_those_that_the_line_has():
    policy = replace(GARMENTS_FIRST, sources=({"caption": 3, "blip": 1, "absent": 50},))
    found = Counter(prompt.sources[0] for prompt in draws(policy, 2000))
    assert found.keys() == {"caption", "blip"} and abs(found["blip"] / 2000 - 0.25) < 0.04
    assert build(policy, LINE).sources == ["caption"]


def test_others_are_all_columns_that_no_row_names_at_the_same_weight():
    policy = replace(GARMENTS_FIRST, sources=({"garments": 1}, {"others": 2, "caption": 2}))
    line = LINE | dict(captions=LINE["captions"] | dict(vlm="she"), phrases=dict(found=[["a bag", []]]))
    found = Counter(prompt.sources[1] for prompt in draws(policy, 2000, line))
    assert found.keys() == {"caption", "blip", "vlm", "found"}
    assert all(abs(number / 2000 - 0.25) < 0.04 for number in found.values())


def test_a_source_is_not_given_twice():
    row = {"caption": 1, "blip": 1}
    found = {tuple(p.sources) for p in draws(replace(GARMENTS_FIRST, sources=(row, row, row)), 50)}
    assert found == {("caption", "blip"), ("blip", "caption")}


def test_a_missing_source_gives_nothing_and_a_line_without_any_keeps_its_prompt():
    bare = dict(prompt="the line's own", captions=dict(garments=" ", caption=""))
    assert build(GARMENTS_FIRST, LINE | dict(captions=dict(caption="only this"))).text == "only this"
    assert build(GARMENTS_FIRST, bare) == ("the line's own", [], [])
    assert build(replace(GARMENTS_FIRST, sources=({"prompt": 1},)), LINE).text == "the line's own"


def test_shuffling_gives_every_order_of_garments_alike_and_leaves_the_words_of_a_phrase():
    line = LINE | dict(captions=dict(garments="a red dress, a hat, a bag", caption="first, second"))
    found = Counter(p.text for p in draws(replace(GARMENTS_FIRST, shuffle=True), 1200, line))
    assert len(found) == 6 and min(found.values()) > 150
    for text in found:
        assert sorted(text.split(", ")[:3]) == ["a bag", "a hat", "a red dress"]
        assert text.endswith(", first, second")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_asked_share_of_garments_is_dropped_and_one_always_stays(share):
    policy = replace(GARMENTS_FIRST, sources=({"garments": 1},), phrase_dropout=share)
    kept = [prompt.text.split(", ") for prompt in draws(policy, 1500)]
    assert all(phrases and phrases == [g for g in GARMENTS if g in phrases] for phrases in kept)
    wanted = 4 * (1 - share) + share**4  # the last of four stays
    assert abs(np.mean([len(phrases) for phrases in kept]) - wanted) < 0.1
    if share == 1:
        assert all(200 < number < 600 for number in Counter(phrases[0] for phrases in kept).values())
    assert build(policy, LINE).text == ", ".join(GARMENTS)


def test_markers_stand_around_garments_alone():
    text = build(replace(GARMENTS_FIRST, markers=("<", "/>")), LINE).text
    assert text == f"{', '.join(f'<{g}/>' for g in GARMENTS)}, a woman in a dress, in a park"


def test_phrases_that_a_captioner_marked_are_taken_for_garments_and_never_cut_inside():
    found = dict(kosmos2=[["a dress, red", [[0, 0, 1, 1]]], ["a hat", []]])
    line = LINE | dict(captions=dict(kosmos2="she wears a dress, red, and a hat"), phrases=found)
    policy = replace(GARMENTS_FIRST, sources=({"kosmos2": 1},))
    assert build(policy, line).text == "she wears a dress, red, and a hat"
    policy = replace(policy, garments=("kosmos2",), markers=("[", "]"))
    assert build(policy, line).text == "[a dress, red], [a hat]"
    assert build(replace(policy, budget=8), line, count) == ("[a dress, red]", ["[a hat]"], ["kosmos2"])


def test_draws_repeat_by_seed_epoch_and_index_and_are_others_for_each():
    policy = replace(read_policy("mixed"), shuffle=True, budget=75)
    prompts = MixedPrompts(policy, [LINE] * 4, TOKENIZER)
    places = [(i, epoch, seed) for i in range(4) for epoch in range(4) for seed in range(4)]
    found = [prompts.drawn(*place).text for place in places]
    assert found == [prompts.drawn(*place).text for place in places] and len(set(found)) > 24
    assert len({prompts.fixed(index).text for index in range(4)}) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (dict(captions=["a hat"]), "the line of 0.png: captions must be {source: text}"),
        (dict(captions=dict(blip=3)), "captions must be"),
        (dict(phrases=dict(kosmos2=["a hat"])), r"phrases must be {source: \[\[text, boxes\], ...\]}"),
        (dict(phrases=3), "phrases must be"),
    ],
)
def test_columns_that_are_none_are_named(columns, message):
    with pytest.raises(ValueError, match=message):
        check_line(LINE | columns)


def test_what_leaves_no_prompt_is_refused():
    with pytest.raises(ValueError, match="no line has captions of absent, none: there are garments, caption"):
        MixedPrompts(PromptPolicy(({"absent": 1, "none": 1},)), [LINE], TOKENIZER).summary()
    with pytest.raises(ValueError, match="budget is 76, but the model's text encoder reads 75 tokens"):
        MixedPrompts(replace(GARMENTS_FIRST, budget=76), [LINE], TOKENIZER)
    with pytest.raises(ValueError, match="prefix and suffix have 4 tokens, which leaves none of budget 4"):
        MixedPrompts(
            replace(GARMENTS_FIRST, budget=4, prefix="a photo ", suffix=" of her"), [LINE], TOKENIZER
        )


def test_others_leave_out_columns_that_say_what_is_not_in_the_picture():
    line = LINE | dict(captions=LINE["captions"] | {"clip_negative": "a blue hat"})
    rest = PromptPolicy(({"others": 1},), budget=0)
    assert {source for prompt in draws(rest, 60, line) for source in prompt.sources} == set(LINE["captions"])
    named = PromptPolicy(({"clip_negative": 1},), budget=0)
    assert build(named, line).text == "a blue hat"


def test_a_list_of_nothing_but_commas_is_no_source():
    line = LINE | dict(captions=dict(garments=", , ,", caption="a woman"))
    assert build(GARMENTS_FIRST, line).text == "a woman"


@pytest.mark.parametrize("phrases", [5, None, "a hat", [["a hat"]]], ids=str)
def test_wrong_phrases_of_a_column_are_named(phrases):
    with pytest.raises(ValueError, match="0.png: phrases must be"):
        check_line(LINE | dict(phrases=dict(garments=phrases)))
