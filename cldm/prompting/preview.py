"""What a prompt policy makes of a folder's lines, to be read before a run."""

from collections import Counter

from cldm.prompting.mixed import MixedPrompts, read_tokenizer
from cldm.prompting.parsing import read_policy
from cldm.prompts import texts_of


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
