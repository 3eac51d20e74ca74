"""The labels that CLIP-Interrogator chooses from."""

from dataclasses import replace

import pytest

from annotator.caption.captioners import InterrogatorOptions
from annotator.caption.clip_labels import read_published_lists, read_word_lists
from caption_folder import job, make_folder
from pictures.regions import standard_regions


def test_our_garment_words_are_of_the_standard_regions_and_never_twice():
    words = read_word_lists("garments")
    labels = [label for labels in words.labels.values() for label in labels]
    assert len(set(labels)) == len(labels) > 1000
    assert set(words.regions.values()) == set(standard_regions().names[1:])
    assert "red dress" in words.labels["whole"] and "light blue jeans" in words.labels["bottoms"]
    assert all(name in words.labels for part in words.classic for name, _ in part)


def test_published_lists_are_the_packages_without_what_is_empty_or_twice():
    words = read_published_lists()
    counts = {name: len(labels) for name, labels in words.labels.items()}
    # flavors has 100,970 lines, one of them empty and 15 of them again
    assert counts["artists"] == 10_530 and counts["mediums"] == 95 and counts["trendings"] == 72
    assert counts["movements"] == 200 and counts["flavors"] == 100_954
    assert "trending on Artstation" in words.labels["trendings"]
    assert all(label for labels in words.labels.values() for label in labels)
    assert len(words.negative) == 41


def test_without_the_package_its_lists_are_missed_with_a_remedy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="not installed: pip install"):
        read_word_lists("published")


GOOD = """
lists:
  colours: {labels: [red, blue]}
  tops: {behind: colours, region: top, labels: [shirt, vest]}
classic: [{tops: 2}, {colours: 1}]
negative: [blurry]
"""


def written(tmp_path, text):
    (tmp_path / "words.yaml").write_text(text)
    return str(tmp_path / "words.yaml")


def test_a_list_stands_behind_every_label_of_another(tmp_path):
    words = read_word_lists(written(tmp_path, GOOD))
    assert words.labels["tops"] == ["red shirt", "blue shirt", "red vest", "blue vest"]
    assert words.regions == {"tops": "top"} and words.negative == ["blurry"]
    assert words.classic == [[("tops", 2)], [("colours", 1)]]


@pytest.mark.parametrize(
    "old, new, message",
    [
        (GOOD, "lists: [", "is no yaml"),
        (GOOD, "- red", "lists must give"),
        ("behind: colours", "behind: colors", "stands behind 'colors'"),
        ("region: top", "part: top", "list tops takes labels, behind and region"),
        ("[shirt, vest]", "['shirt, vest']", "got 'shirt, vest'"),
        ("[shirt, vest]", "[]", "wants a list of labels"),
        ("[shirt, vest]", "[shirt, 3]", "got 3"),
        ("{tops: 2}", "{top: 2}", "classic wants"),
        ("{tops: 2}", "{tops: 0}", "classic wants"),
        ("[blurry]", "[1]", "negative wants"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old, new, message, tmp_path):
    with pytest.raises(ValueError, match=f"words.yaml.*{message}"):
        read_word_lists(written(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("topp", "list tops is about region 'topp', which .*regions.yaml has not: did you mean 'top'"),
        ("Top", "list tops .*did you mean 'top'"),
        ("background", "no list is about a region of .*regions.yaml, which has top, bottom"),
        ("top", None),
    ],
)
def test_a_list_about_a_region_that_no_map_has_is_refused_before_any_work(tmp_path, region, message):
    folder = make_folder(tmp_path / "data", 1, regions=True)
    words = written(tmp_path, GOOD.replace("region: top", f"region: {region}"))
    given = replace(job(folder), options=InterrogatorOptions(words=words))
    if message is None:
        given.check()
    else:
        with pytest.raises(ValueError, match=f"words={words}: {message}"):
            given.check()


def test_lists_about_regions_that_a_folder_lacks_may_stand_beside_others(tmp_path):
    folder = make_folder(tmp_path / "data", 1, regions=True)  # of neither whole nor head
    InterrogatorOptions().check(folder)
    (folder / "regions.yaml").unlink()
    InterrogatorOptions(words=written(tmp_path, GOOD.replace("region: top", "region: topp"))).check(folder)
