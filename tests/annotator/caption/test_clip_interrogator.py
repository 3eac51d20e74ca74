"""CLIP-Interrogator: the same text as the published program in every mode, computed once instead of often."""

import numpy as np
import pytest
import torch
from PIL import Image

from annotator.caption.captioners import InterrogatorOptions
from annotator.caption.clip_interrogator import Interrogator
from annotator.caption.clip_labels import WordLists
from annotator.caption.clip_model import Clip
from small_clip import save_small_clip

WORDS = (
    "red blue green woollen silken striped dotted loose narrow long short old new rare common fine".split()
)
NOUNS = "dress coat shirt skirt hat scarf glove boot belt cape".split()
LISTS = dict(
    artists=[f"by {a} {b}" for a in WORDS[:6] for b in ("smith", "jones")],
    flavors=[f"{word} {noun}" for word in WORDS for noun in NOUNS],
    mediums=["a photo", "a painting", "a drawing"],
    movements=["baroque", "op art", "pop art"],
    trendings=["flickr", "trending on flickr"],
)
NEGATIVE = ["blurry", "low contrast", "watermark"]
CLASSIC = [[("mediums", 1), ("artists", 1)], [("trendings", 1)], [("movements", 1)], [("flavors", 3)]]
LISTS_OF_TESTS = WordLists(LISTS, {}, CLASSIC, NEGATIVE, ("flavors",))
STARTS = ["a woman in a coat", "a painting of two people", "someone outside"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder):
    return Clip.load(folder, resize="shortest")


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    return [np.kron(one, np.ones((16, 12, 1), np.uint8)) for one in colours]


@pytest.fixture(scope="module")
def package(clip):
    """The published program with our model, its lists replaced by the tests'."""
    pytest.importorskip("clip_interrogator", reason="requirements-dev.txt names it")
    from clip_interrogator import Config, Interrogator, LabelTable

    config = Config(clip_model_name="ViT-L-14/openai", caption_model_name=None, device="cpu", quiet=True)
    config.cache_path, config.flavor_intermediate_count = None, 60
    config.clip_model, config.clip_preprocess = clip.model, clip.preprocess

    class Program(Interrogator):
        def load_clip_model(self):
            import open_clip

            self.clip_model, self.clip_preprocess = config.clip_model, config.clip_preprocess
            self.tokenize = open_clip.get_tokenizer("ViT-L-14")
            for name, labels in (LISTS | dict(negative=NEGATIVE)).items():
                setattr(self, name, LabelTable(list(labels), None, self))

    return Program(config)


def interrogator(clip, mode, words=LISTS_OF_TESTS, **options):
    labels = [label for labels in words.labels.values() for label in labels]
    options = InterrogatorOptions(mode=mode, candidates=60, **options)
    return Interrogator(clip, clip.encode_texts(labels).half().float(), words, options)


THEIRS = dict(fast="interrogate_fast", classic="interrogate_classic", best="interrogate")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("mode", THEIRS)
def test_each_mode_says_what_the_published_program_says(mode, clip, package, pictures):
    ours = interrogator(clip, mode).caption_from(pictures, STARTS, [None] * 3)
    program = getattr(package, THEIRS[mode])
    theirs = [
        program(Image.fromarray(picture), caption=start)
        for picture, start in zip(pictures, STARTS, strict=True)
    ]
    assert [caption.text for caption in ours] == theirs
    assert len(set(theirs)) == 3


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_negative_is_the_published_chain_with_its_sign_kept(clip, package, pictures):
    """The program starts its chain with a similarity whose sign it forgets to turn; ours turns it."""
    for picture, ours in zip(pictures, interrogator(clip, "negative").caption(pictures), strict=True):
        feature = package.image_to_features(Image.fromarray(picture))
        labels = [*package.flavors.rank(feature, 60, reverse=True), *NEGATIVE]
        first = package.rank_top(feature, labels, reverse=True)
        labels.remove(first)
        similarity = -package.similarity(feature, first)
        assert ours.text == package.chain(feature, labels, first, similarity, reverse=True)


def test_captions_do_not_depend_on_the_batch(clip, pictures):
    for mode in ("fast", "classic", "best", "negative"):
        captioner = interrogator(clip, mode)
        together = [caption.text for caption in captioner.caption(pictures)]
        assert together == [captioner.caption([picture])[0].text for picture in pictures]


def test_labels_behind_a_prompt_score_as_their_whole_texts_do(clip):
    captioner, feature = interrogator(clip, "best"), torch.nn.functional.normalize(torch.randn(32), dim=0)
    labels = [*LISTS["flavors"][:20], "café crème", "tom & jerry", "50% off", "it's"]
    long = ", ".join(LISTS["flavors"][:22])
    for prompt in (
        "a red dress",
        "ends with a stop.",
        "crème brûlée",
        "tom &amp",
        long,
        ", ".join([long] * 3),
    ):
        together = captioner.chain.cosines(feature, labels, behind=prompt)
        whole = clip.encode_texts([f"{prompt}, {label}" for label in labels]) @ feature
        direct = clip.model.encode_text(
            torch.stack([clip.text.tokenizer(f"{prompt}, {label}")[0] for label in labels]), normalize=True
        )
        torch.testing.assert_close(together, whole, atol=1e-5, rtol=0)
        torch.testing.assert_close(together, direct @ feature, atol=1e-5, rtol=0)


def test_a_prompt_is_as_long_as_the_tokenizer_makes_it(clip):
    text = clip.text
    for prompt in (
        "",
        "a red dress, it's fine... 50%-off",
        "tom &amp jerry",
        "crème  brûlée",
        " x ",
        "<end_of_text>",
        "a<end_of_text>b",
    ):
        assert text.length(prompt) == len(text.tokenizer.encode(prompt))


def test_labels_of_regions_that_a_picture_lacks_are_not_said(clip, pictures):
    lists = dict(tops=["red shirt", "blue shirt"], whole=["red dress", "blue dress"], scenes=["outside"])
    classic = [[("whole", 1)], [("tops", 1)], [("scenes", 1)]]
    words = WordLists(lists, dict(tops="top", whole="whole"), classic, [], ("tops",))
    lines = [dict(regions=["top"]), dict(regions=["whole", "head"]), {}]
    texts = [c.text for c in interrogator(clip, "fast", words).caption_lines(lines, pictures)]
    assert "dress" not in texts[0] and "shirt" in texts[0]
    assert "shirt" not in texts[1] and "dress" in texts[1]
    assert "shirt" in texts[2] and "dress" in texts[2]
    texts = [c.text for c in interrogator(clip, "classic", words).caption_lines(lines, pictures)]
    assert [text.count(",") for text in texts] == [1, 1, 2]


def test_a_label_of_two_lists_is_said_once(clip, pictures):
    lists = dict(mediums=["a photo", "a drawing"], flavors=["a photo", "red dress"])
    words = WordLists(lists, {}, [[("mediums", 2)]], [], ("flavors",))
    for caption in interrogator(clip, "fast", words).caption(pictures):
        assert sorted(caption.text.split(", ")) == ["a drawing", "a photo", "red dress"]
    for caption in interrogator(clip, "classic", words).caption(pictures):
        assert sorted(caption.text.split(", ")) == ["a drawing", "a photo"]


def test_a_start_column_comes_first_and_is_no_label(clip, pictures):
    captioner = interrogator(clip, "fast", start="blip", max_flavors=4)
    lines = [dict(captions=dict(blip=text)) for text in ("someone walks", "a hat", "")]
    captions = captioner.caption_lines(lines, pictures)
    assert captions[0].text.startswith("someone walks, ")
    for caption in captions:
        labels = [text for text, _ in caption.phrases]
        assert len(labels) == 4 and caption.text.endswith(", ".join(labels))
    with pytest.raises(ValueError, match="x.jpg has no captions of the column 'blip'"):
        captioner.caption_lines([dict(target="x.jpg", captions=dict(other="x"))], pictures[:1])


@pytest.mark.parametrize("mode", ["fast", "classic", "best", "negative"])
def test_a_picture_without_any_region_of_the_labels_gets_an_empty_caption(mode, clip, pictures):
    words = WordLists({"hats": ["a hat", "a cap"]}, {"hats": "head"}, [[("hats", 1)]], [], ("hats",))
    captioner = interrogator(clip, mode, words)
    assert captioner.caption_from(pictures[:1], [""], [["top"]])[0].text == ""
    if mode == "best":
        assert captioner.caption_from(pictures[:1], ["a woman"], [["top"]])[0].text == "a woman"


def test_regions_that_are_no_list_are_named(clip, pictures):
    with pytest.raises(ValueError, match="0.png: regions must be a list, got 5"):
        interrogator(clip, "fast").caption_lines([dict(target="0.png", regions=5)], pictures[:1])
