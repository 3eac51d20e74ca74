"""Prompts that grow by one label at a time, and the rules by which CLIP-Interrogator cuts them."""

import re

import torch

from annotator.caption.clip_text_tower import PLAIN

# what the tokenizer reads before a comma for itself
SAFE_PREFIX = re.compile(PLAIN.pattern + "[A-Za-z0-9]")


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
