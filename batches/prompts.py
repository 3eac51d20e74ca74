"""Prompts built from the caption columns of a training folder's lines, as a policy says."""

import json
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

OWN, OTHERS = "prompt", "others"  # sources that are no columns: the line's prompt, all that no row names
NEGATIVE = "negative"  # in a column's name: it says what is not in the picture, so it is none of the others
SEPARATOR = ", "  # between phrases


@dataclass(frozen=True)
class PromptPolicy:
    """How a prompt is made of what a line's columns say; models/prompts/mixed.yaml explains each in a line.

    Args:
        sources: rows of {source: weight}. Each row gives the prompt one source, drawn by weight among those
            of it that the line has and no earlier row gave; none of them, and it gives nothing.
        garments: the sources that list garments, one a phrase. Dropout, shuffling and markers are for these.
        budget: largest number of tokens; 0 for any.
        phrase_dropout: share of garment phrases left out; one of each list always stays.
        shuffle: another order of garment phrases each time. Words inside a phrase keep their order.
        markers: texts around each garment phrase.
        prefix, suffix: texts around the prompt, as they are written, inside the budget.
        prompt_dropout: what it sets the option of this name to; None leaves it.
    """

    sources: list[dict[str, float]]
    garments: list[str] = ("garments", "attributes")
    budget: int = 75
    phrase_dropout: float = 0.0
    shuffle: bool = False
    markers: list[str] = ("", "")
    prefix: str = ""
    suffix: str = ""
    prompt_dropout: float | None = None

    def keeps_prompts(self) -> bool:
        """Whether every prompt is the line's own, whatever is drawn."""
        own = all(set(row) == {OWN} for row in self.sources) and OWN not in self.garments
        return own and not (self.budget or self.prefix or self.suffix)

    def text(self) -> str:
        """The policy in a line that `read_policy` takes; without `prompt_dropout`, which is an option's."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "prompt_dropout"})


class Prompt(NamedTuple):
    """A prompt, the phrases that the budget cut from its end, and the sources that it is made of, if any."""

    text: str
    cut: list[str]
    sources: list[str]


def build(policy: PromptPolicy, line: dict, count=None, rng: np.random.Generator | None = None) -> Prompt:
    """The prompt of a line, by draws from `rng`.

    Without `rng` it is the fixed version: of each row the source of the largest weight, all its phrases in
    their order. A line without any of the sources keeps its own prompt. Phrases go from the end until the
    prompt fits the budget, but the first one stays, however long.

    Args:
        count: text -> its number of tokens; not needed where there is no budget.
    """
    texts, phrases, sources = texts_of(line), [], []
    for row in policy.sources:
        source = _choose(weights_of(policy, row, texts, sources), rng)
        if source in policy.garments:
            phrases += _garments(policy, line, texts[source], source, rng)
        elif source:
            phrases += texts[source].split(SEPARATOR)
        sources += [source] if source else []
    phrases, cut = phrases if sources else line["prompt"].split(SEPARATOR), []
    while policy.budget and len(phrases) > 1 and count(_joined(policy, phrases)) > policy.budget:
        cut.insert(0, phrases.pop())
    return Prompt(_joined(policy, phrases), cut, sources)


def texts_of(line: dict) -> dict[str, str]:
    """Source -> what it says of a line's picture, its own prompt last; none that says nothing."""
    phrases = {source: SEPARATOR.join(_texts(found)) for source, found in (line.get("phrases") or {}).items()}
    texts = phrases | {source: text for source, text in (line.get("captions") or {}).items() if text}
    # a column of that name is what the prompt has been chosen from
    texts.pop(OWN, None)
    return {source: text for source, text in {**texts, OWN: line["prompt"]}.items() if text.strip(" ,")}


def weights_of(policy: PromptPolicy, row: dict, texts: dict, taken=()) -> dict[str, float]:
    """Source -> weight of those that a row can give a line with these texts."""
    named = {source for row in policy.sources for source in row} | {OWN}
    weights = {}
    for name, weight in row.items():
        meant = _others(texts, named) if name == OTHERS else [name]
        weights |= {source: weight for source in meant if source in texts and source not in taken}
    return weights


def _others(texts, named):
    return [source for source in texts if source not in named and NEGATIVE not in source]


def check_line(line: dict):
    """Raise ValueError unless captions are {source: text}, phrases {source: [[text, boxes], ...]}."""
    captions, phrases = line.get("captions") or {}, line.get("phrases") or {}
    # null is how tables spell that a picture has none
    if not isinstance(captions, dict) or not all(isinstance(t, str | None) for t in captions.values()):
        raise ValueError(f"the line of {line['target']}: captions must be {{source: text}}, got {captions!r}")
    lists = list(phrases.values()) if isinstance(phrases, dict) else [None]
    pairs = [pair for found in lists for pair in (found if isinstance(found, list) else [None])]
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        wanted = "{source: [[text, boxes], ...]}"
        raise ValueError(f"the line of {line['target']}: phrases must be {wanted}, got {phrases!r}")


def _choose(weights, rng):
    """One of the sources by weight, without `rng` the first of the largest; None of none."""
    if not weights or rng is None:
        return max(weights, key=weights.get, default=None)
    shares = np.array(list(weights.values()))
    return list(weights)[rng.choice(len(weights), p=shares / shares.sum())]


def _garments(policy, line, text, source, rng):
    """The garment phrases of a source: what its captioner marked as such, else the parts of its text."""
    phrases = _texts((line.get("phrases") or {}).get(source, ())) or text.split(SEPARATOR)
    if rng is not None:
        kept = rng.random(len(phrases)) >= policy.phrase_dropout
        kept[rng.integers(len(phrases))] |= not kept.any()
        order = rng.permutation(len(phrases)) if policy.shuffle else range(len(phrases))
        phrases = [phrases[i] for i in order if kept[i]]
    before, after = policy.markers
    return [f"{before}{phrase}{after}" for phrase in phrases]


def _texts(phrases):
    return [text for text, _ in phrases if text.strip()]


def _joined(policy, phrases):
    return policy.prefix + SEPARATOR.join(phrases) + policy.suffix
