"""What a published checkpoint says about itself, and the run that it comes from."""

import json
import subprocess
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch

from cldm.options import TrainOptions
from cldm.prompts import PromptPolicy

ROOT = Path(__file__).resolve().parents[1]


def run_metadata(options: TrainOptions, encoder=None, lines=(), policy: PromptPolicy | None = None) -> dict:
    """Strings and dicts by name: model, base, options, hint, prompt policy, code. `lines` are the data's."""
    metadata = dict(config=options.model, base=options.base, options=asdict(options), torch=torch.__version__)
    metadata |= dict(hint=encoder.metadata()) if encoder else {}
    commit = code_commit()
    metadata |= dict(git_commit=commit) if commit else {}
    return metadata | dict(prompt_policy=prompt_policy(options, lines, policy))


def prompt_policy(options: TrainOptions, lines, policy: PromptPolicy | None = None) -> dict:
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


def code_commit() -> str:
    """The git commit of this code, -dirty if it was changed since; empty where it is no checkout."""
    if not (ROOT / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
