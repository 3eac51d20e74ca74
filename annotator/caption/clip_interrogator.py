"""Captions of the labels that CLIP finds most like a picture, as the program CLIP-Interrogator makes them.

Modes, by pharmapsychotic/clip-interrogator 0.6.0, each after a starting caption or alone:

    fast      the labels most like the picture, of all lists
    classic   the best label of each list, in a fixed order
    best      labels added one at a time, each time the one that makes the whole prompt most like the picture;
              of this, fast, classic and the starting caption, whichever is most like it
    negative  the same chain of the least fitting labels, for a negative prompt
"""

import re

import torch

from annotator.caption.clip_labels import embed_labels, read_word_lists
from annotator.caption.clip_model import PLAIN, Clip, name_weights, similarities
from annotator.caption.interface import Caption, Captioner
from annotator.caption.training_folder import caption_in

MODES = "fast", "classic", "best", "negative"
# what the tokenizer reads before a comma for itself
SAFE_PREFIX = re.compile(PLAIN.pattern + "[A-Za-z0-9]")


class Interrogator(Captioner):
    """Labels for pictures; results are those of the published program, but for what docs/captions.md says.

    Args:
        clip: the model, and `vectors` float32 (n, d) of all labels of `words`, list after list.
        words: WordLists.
        options: InterrogatorOptions.
    """

    name = "clip_interrogator"

    def __init__(self, clip, vectors, words, options):
        self.clip, self.vectors, self.words, self.options = clip, vectors, words, options
        self.labels = [label for labels in words.labels.values() for label in labels]
        self.places, start = {}, 0
        for name, labels in words.labels.items():
            self.places[name] = slice(start, start + len(labels))
            start += len(labels)
        first = {label: place for place, label in reversed(list(enumerate(self.labels)))}
        self.again = [place for place, label in enumerate(self.labels) if first[label] != place]
        self.chain = Chain(clip.text)

    @classmethod
    def load(cls, folder, options, device="cpu", dtype=None):
        if options.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {options.mode!r}")
        for name in ("max_flavors", "candidates"):
            if getattr(options, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")
        words = read_word_lists(options.words)
        if options.mode == "classic" and not words.classic:
            raise ValueError(f"mode=classic needs the key classic in {options.words}, a list of parts")
        clip = Clip.load(folder, device, dtype, options.resize)
        labels = [label for labels in words.labels.values() for label in labels]
        return cls(clip, embed_labels(clip, labels, folder, name_weights(folder)), words, options)

    def caption(self, images, prompt=None) -> list[Caption]:
        """A caption of each picture; `prompt` is the starting caption of all, none by default."""
        return self.caption_from(images, [prompt or ""] * len(images), [None] * len(images))

    def caption_lines(self, lines, images) -> list[Caption]:
        """The same after the lines' captions of the column `start`, with labels of their regions only.

        ValueError names a line that has no such caption.
        """
        start = self.options.start
        starts = [caption_in(line, start) if start else "" for line in lines]
        for line in lines:
            if not isinstance(line.get("regions", []), list):
                raise ValueError(f"{line.get('target')}: regions must be a list, got {line['regions']!r}")
        return self.caption_from(images, starts, [line.get("regions") for line in lines])

    @torch.inference_mode()
    def caption_from(self, images, starts: list[str], regions: list) -> list[Caption]:
        """Captions after given starts; `regions` are names of those that each map has, None for all."""
        features = self.clip.encode_images(images)
        scores = similarities(features, self.vectors)
        for row, names in zip(scores, regions, strict=True):
            for name in self._absent(names):
                row[self.places[name]] = torch.nan
        make = getattr(self, f"_{self.options.mode}")
        return [make(*one) for one in zip(features, scores, starts, strict=True)]

    def _absent(self, regions) -> list[str]:
        """Lists about regions that a picture lacks."""
        if regions is None:
            return []
        return [name for name, region in self.words.regions.items() if region not in regions]

    def _top(self, scores, count: int, lists=None) -> list[str]:
        """The labels with the highest scores (n,), of all lists or of some; nan is of no account."""
        left_out = [self.places[name] for name in self.places if name not in (lists or self.places)]
        scores = scores.nan_to_num(nan=-torch.inf)
        scores[self.again] = -torch.inf
        for places in left_out:
            scores[places] = -torch.inf
        values, found = scores.topk(min(count, len(scores)))
        return [self.labels[place] for place in found[values > -torch.inf].tolist()]

    def _top_of_list(self, scores, count: int, name: str) -> list[str]:
        part = scores[self.places[name]].nan_to_num(nan=-torch.inf)
        values, found = part.topk(min(count, len(part)))
        labels = self.words.labels[name]
        return [labels[place] for place in found[values > -torch.inf].tolist()]

    def _fast(self, feature, scores, start):
        return self._caption(start, self._fast_prompt(scores, start))

    def _classic(self, feature, scores, start):
        return self._caption(start, self._classic_prompt(scores, start))

    def _best(self, feature, scores, start):
        options = self.options
        labels = self._top(scores, options.candidates)
        counts = dict(min_count=options.min_flavors, max_count=options.max_flavors)
        chained = self.chain.grow(feature, labels, start, **counts)[0] if labels else start
        prompts = [start, self._classic_prompt(scores, start), self._fast_prompt(scores, start), chained]
        prompts = [prompt for prompt in prompts if prompt]
        if not prompts:
            return Caption("")
        cosines = self.chain.cosines(feature, prompts).tolist()
        # the first of equals, as in the list's order
        best = max(range(len(prompts)), key=cosines.__getitem__)
        return self._caption(start, prompts[best], similarity=cosines[best])

    def _negative(self, feature, scores, start):
        words, options = self.words, self.options
        labels = [*self._top(-scores, options.candidates, words.negative_of), *words.negative]
        if not labels:
            return Caption("")
        prompt, cosine = self.chain.grow(feature, labels, max_count=options.max_flavors, sign=-1)
        return self._caption("", prompt, similarity=cosine)

    def _fast_prompt(self, scores, start) -> str:
        return self._joined([start, *self._top(scores, self.options.max_flavors)])

    def _classic_prompt(self, scores, start) -> str:
        parts = []
        for lists in self.words.classic:
            labels = [", ".join(self._top_of_list(scores, count, name)) for name, count in lists]
            if not parts and len(labels) > 1 and labels[0] and start.startswith(labels[0]):
                # "a painting of a dress" is no other painting
                start, labels = f"{start} {labels[1]}", labels[2:]
            parts.append(" ".join(filter(None, labels)))
        return self._joined([start, *parts])

    def _joined(self, parts) -> str:
        return cut_to_fit(self.clip.text, ", ".join(filter(None, parts)))

    def _caption(self, start: str, text: str, **scores) -> Caption:
        labels = text[len(start) :] if text.startswith(start) else text
        phrases = [(label, []) for label in labels.split(", ") if label]
        return Caption(text, phrases, scores)


class Chain:
    """Appends labels to a prompt, each round the one that makes the whole most (or least) like a picture.

    Args:
        text: the CLIP's TextTower. A label's tokens are looked up once, and kept.
    """

    def __init__(self, text):
        self.text = text
        self.behind: dict[str, list[int] | None] = {}

    def grow(self, feature, labels, start="", min_count=8, max_count=32, sign=1) -> tuple[str, float]:
        """(prompt, its cosine with the picture), the best of all rounds.

        Args:
            feature: unit vector (d,) of the picture.
            labels: to choose from; without a `start`, the best one of them is the start.
            min_count: rounds in which a label may make it worse than the round before.
            sign: -1 looks for the prompt that is least like the picture.
        """
        labels = list(dict.fromkeys(labels))
        if not start:
            scores = sign * self.cosines(feature, labels)
            start = labels.pop(int(scores.argmax()))
        best = current = (sign * float(self.cosines(feature, [start])[0]), start)
        for place in range(max_count):
            if not labels:
                break
            scores = sign * self.cosines(feature, labels, behind=current[1])
            chosen = int(scores.argmax())
            longer = (float(scores[chosen]), f"{current[1]}, {labels[chosen]}")
            best = max(best, longer, key=lambda found: found[0])
            if longer[0] <= current[0] and place >= min_count:
                break
            current = longer
            if is_full(self.text, current[1]):
                break
            del labels[chosen]
        return best[1], sign * best[0]

    @torch.inference_mode()
    def cosines(self, feature, texts: list[str], behind: str = ""):
        """float32 (n,): the picture's with texts, or with texts behind a prompt and a comma."""
        text = self.text
        if not behind:
            return text.encode([text.tokens(one) for one in texts]) @ feature
        prefix = [text.tokenizer.sot_token_id, *text.tokenizer.encode(behind)]
        tokens = [self._tokens_behind(one) for one in texts]
        shared = SAFE_PREFIX.fullmatch(behind) and len(prefix) < text.num_tokens
        scores = torch.empty(len(texts), device=feature.device)
        together = [i for i, found in enumerate(tokens) if shared and found is not None]
        if together:
            rows = [text.cut(tokens[i], start=len(prefix)) for i in together]
            scores[together] = text.encode(rows, text.read_prefix(prefix)) @ feature
        alone = [i for i in range(len(texts)) if not (shared and tokens[i] is not None)]
        if alone:
            rows = [text.tokens(f"{behind}, {texts[i]}") for i in alone]
            scores[alone] = text.encode(rows) @ feature
        return scores

    def _tokens_behind(self, label: str) -> list[int] | None:
        """Tokens of ", label" and the end token; None for a label that must be read with what precedes it."""
        if label not in self.behind:
            safe = PLAIN.fullmatch(label)
            found = [*self.text.tokenizer.encode(f", {label}"), self.text.end] if safe else None
            self.behind[label] = found
        return self.behind[label]


def is_full(text, prompt: str) -> bool:
    """Whether a prompt takes all tokens, its start and end counted."""
    return text.length(prompt) + 2 >= text.num_tokens


def cut_to_fit(text, prompt: str) -> str:
    """The prompt without its last parts, by ", ", as many as have to go.

    As in the published program, a part is measured without the comma before it: one that would fit by a hair
    counts as it does there.
    """
    first, *parts = prompt.split(", ")
    kept = first
    for part in parts:
        if is_full(text, kept + part):
            break
        kept += f", {part}"
    return kept
