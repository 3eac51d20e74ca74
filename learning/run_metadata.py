"""What a published checkpoint says about itself, and the run that it comes from."""

import json
from collections import Counter
from dataclasses import asdict

import torch

from batches.prompts import PromptPolicy
from cldm.tryon.model import TryonLDM
from cldm.tryon.record import TryonRecord
from jobs.code_commit import code_commit
from learning.options import TrainOptions


def collect_metadata(
    options: TrainOptions, encoder=None, lines=(), policy: PromptPolicy | None = None
) -> dict:
    """Strings and dicts by name: model, base, options, hint, prompt policy, code. `lines` are the data's."""
    metadata = dict(config=options.model, base=options.base, options=asdict(options), torch=torch.__version__)
    metadata |= dict(hint=encoder.metadata()) if encoder else {}
    commit = code_commit()
    metadata |= dict(git_commit=commit) if commit else {}
    return metadata | dict(prompt_policy=describe_prompts(options, lines, policy))


def describe_fitting(model, lines=()) -> dict:
    """What drawing must know of a try-on model that learns from a folder's lines; nothing of other models."""
    if not isinstance(model, TryonLDM):
        return {}
    return dict(tryon=TryonRecord.of(model, lines).changed(train=model.choices()).metadata())


def describe_prompts(options: TrainOptions, lines, policy: PromptPolicy | None = None) -> dict:
    """How often prompts were emptied, and the policy that built them from the lines' columns.

    Without one, how many of the lines' prompts begin with a caption of which source, where lines tell.
    """
    told = dict(prompt_dropout=options.prompt_dropout)
    if policy:
        return told | json.loads(policy.text())
    sources = Counter()
    for line in lines:
        captions = line.get("captions", {}).items()
        sources.update(
            [next((name for name, text in captions if text and line["prompt"].startswith(text)), "other")]
        )
    return told | (dict(captions=dict(sources)) if {*sources} - {"other"} else {})
