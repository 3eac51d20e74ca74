"""Held-out people and the garments that they try on: their own, or others by a list of pairs."""

from copy import copy


def with_pairs(dataset, pairs):
    """A TryonDataset of other pairs (person, garment) of its folder's lines."""
    other = copy(dataset)
    other.pairs, other.data = list(pairs), [person for person, _ in pairs]
    other.sizes = [tuple(person["size"]) if "size" in person else None for person in other.data]
    return other


def roll_garments(pairs) -> list[tuple[dict, dict]]:
    """The people of pairs (person, garment), each with the next pair's garment.

    It is the next one of the same category that is another garment than the own.

    Raises:
        ValueError: there is none.
    """
    pairs, rolled = list(pairs), []
    for place, (person, worn) in enumerate(pairs):
        following = (other for _, other in pairs[place + 1 :] + pairs[:place])
        alike = (g for g in following if g["name"] != worn["name"] and g["category"] == worn["category"])
        if (other := next(alike, None)) is None:
            raise ValueError(f"there is no other garment of category {worn['category']} than {worn['name']}")
        rolled.append((person, other))
    return rolled
