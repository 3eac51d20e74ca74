"""Items whose prompts a policy builds, anew in every epoch, or fixed, to measure and look at."""

import difflib
from collections import Counter

import numpy as np
import torch
from torch.utils.data import Dataset

from batches.augment import SIDES, Draw
from batches.prompt_policies import read_policy
from batches.prompts import OTHERS, Prompt, PromptPolicy, build, check_line, texts_of, weights_of
from cldm.image_log import FIXED
from cldm.model import create_part, read_part

STREAM = 1  # of draws; rough maps of the same seed, epoch and item have 0


def read_tokenizer(config):
    """The tokenizer of the text encoder of a model's yaml; no weights are made."""
    with torch.device("meta"):
        encoder = create_part(config, "cond_stage_config")
    if not hasattr(encoder, "tokenizer"):
        target = read_part(config, "cond_stage_config").target
        raise ValueError(f"{target} of {config} has no tokenizer: only prompts of budget: 0 can be built")
    return encoder.tokenizer


class MixedPrompts:
    """The prompts of a folder's lines, by a policy.

    Args:
        lines: as a training folder's prompt.json has them.
        tokenizer: of the model that will read the prompts; None where the policy has no budget.

    Raises:
        ValueError: a line's captions or phrases are not what they must be, no line has any of the policy's
            sources, or the budget is more than the model reads or less than prefix and suffix take.
    """

    def __init__(self, policy: PromptPolicy, lines: list[dict], tokenizer=None):
        self.policy, self.lines, self.tokenizer = policy, lines, tokenizer
        for line in lines:
            check_line(line)
        if policy.budget:
            self._check_budget()

    def count(self, text: str) -> int:
        return len(self.tokenizer.encode(text))

    def fixed(self, index: int) -> Prompt:
        return build(self.policy, self.lines[index], self.count)

    def drawn(self, index: int, epoch: int, seed: int) -> Prompt:
        """The prompt of a line in an epoch, by (seed, epoch, index) alone."""
        rng = np.random.default_rng([seed, epoch, index, STREAM])
        return build(self.policy, self.lines[index], self.count, rng)

    def summary(self) -> str:
        """How many lines have which of the policy's sources.

        Raises:
            ValueError: no line has any, or a column that none has is spelt almost like one that is there.
        """
        names = dict.fromkeys(name for row in self.policy.sources for name in row)
        having, columns, without = Counter(), {}, 0
        for texts in map(texts_of, self.lines):
            columns |= texts
            found = [name for name in names if weights_of(self.policy, {name: 1.0}, texts)]
            having.update(found)
            without += not found
        absent = self._absent({*columns, OTHERS})
        if without == len(self.lines):
            raise ValueError(
                f"no line has captions of {', '.join(names)}: there are {', '.join(columns) or 'none'}"
            )
        listed = ", ".join(f"{name} in {having[name]:,}" for name in names)
        own = f"; {without:,} have none of them and keep their own prompt" if without else ""
        lacking = f"; no line has {', '.join(absent)}" if absent else ""
        return f"{listed} of {len(self.lines):,} lines{own}{lacking}"

    def _absent(self, columns: set[str]) -> list[str]:
        """The columns that the policy names and no line has, but for those that any folder may lack."""
        named = {*self.policy.garments}.union(*self.policy.sources)
        absent = sorted(named - columns - {*PromptPolicy.garments})
        for name in absent:
            if near := difflib.get_close_matches(name, columns - named, n=1):
                raise ValueError(f"prompts: no line has captions of {name!r}, did you mean {near[0]!r}?")
        return absent

    def _check_budget(self):
        budget, room = self.policy.budget, self.tokenizer.max_length - 2
        if budget > room:
            raise ValueError(f"budget is {budget}, but the model's text encoder reads {room} tokens")
        around = self.count(self.policy.prefix + self.policy.suffix)
        if around >= budget:
            raise ValueError(f"prefix and suffix have {around} tokens, which leaves none of budget {budget}")


def mixed_prompts(policy: PromptPolicy | None, dataset, config) -> MixedPrompts | None:
    """The prompts of a dataset for the model of a yaml; None where they are the lines' own."""
    if policy is None or policy.keeps_prompts():
        return None
    return MixedPrompts(policy, lines_of(dataset), read_tokenizer(config) if policy.budget else None)


def lines_of(dataset) -> list[dict]:
    """The lines of a training folder's dataset."""
    if not hasattr(dataset, "data"):
        raise ValueError("prompts are built of a training folder's lines, but the dataset has none in `data`")
    return dataset.data


class MixedItems(Dataset):
    """The items of FlippedItems or RoughItems by a Draw, with prompts drawn by `seed`.

    `fixed_txt` is their fixed version. An item with left or right in any of its prompts is not mirrored.
    """

    def __init__(self, dataset, prompts: MixedPrompts, seed: int):
        self.dataset, self.prompts, self.seed = dataset, prompts, seed

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, draw: Draw):
        drawn = self.prompts.drawn(draw.index, draw.epoch, self.seed).text
        fixed = self.prompts.fixed(draw.index).text
        sided = SIDES.search(drawn) or SIDES.search(fixed)
        item = self.dataset[draw._replace(mirrored=draw.mirrored and not sided)]
        return {**item, "txt": drawn, FIXED: fixed}


class FixedItems(Dataset):
    """The items of a dataset with the fixed version of their prompts."""

    def __init__(self, dataset, prompts: MixedPrompts):
        self.dataset, self.prompts = dataset, prompts

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return {**self.dataset[index], "txt": self.prompts.fixed(index).text}


def preview(lines: list[dict], prompts: str, config, num: int) -> str:
    """`num` prompts, evenly spread, as a first epoch of seed 0 draws them, and counts over all lines.

    Args:
        prompts: as the option of that name.
        config: yaml of the model whose tokens are counted.
    """
    policy, tokenizer = read_policy(prompts), read_tokenizer(config)
    mixed = MixedPrompts(policy, lines, tokenizer)
    summary, room = mixed.summary(), policy.budget or tokenizer.max_length - 2
    built = [mixed.drawn(index, epoch=0, seed=0) for index in range(len(lines))]
    tokens = [mixed.count(prompt.text) for prompt in built]
    shown = []
    for prompt, number in list(zip(built, tokens, strict=True))[:: max(1, len(lines) // num)][:num]:
        shown.append(f"{number:4} of {room}  {prompt.text}")
        shown += [" " * 12 + f"cut: {', '.join(prompt.cut)}"] * bool(prompt.cut)
    columns = Counter(source for line in lines for source in texts_of(line))
    cut, long = sum(bool(prompt.cut) for prompt in built), sum(number > room for number in tokens)
    return "\n".join(
        [
            *shown,
            f"columns: {', '.join(f'{name} in {count:,}' for name, count in columns.items())} lines",
            f"prompts: {summary}",
            f"tokens of {config}: mean {sum(tokens) / len(tokens):.1f}, longest {max(tokens)} of {room}, "
            f"{lines[tokens.index(max(tokens))]['target']}",
            f"{cut:,} of {len(lines):,} prompts lost phrases; {long:,} are too long all the same",
        ]
    )
