"""An evaluation of try-on from checkpoints, or folders of pictures, to files: draw, measure, write."""

from evaluation.fitting_sets import (
    CEILING,
    FLOOR,
    OWN,
    ROLLED,
    check_repaint,
    draw_all,
    read_checkpoint,
    roll,
    sweep_guidance,
)
from evaluation.fittings import HeldOutFittings
from evaluation.protocol import describe_pictures, describe_protocol
from evaluation.run import EvaluationRequest, write_results
from generation.fitting_pairs import HELD_OUT, choose_split
from jobs.parallel import default_workers


def hold_out_fittings(request: EvaluationRequest, open_dataset, num: int | None) -> HeldOutFittings:
    """What is asked for: the pairs, else the split, else the folder's items of split val or test.

    Args:
        open_dataset: tutorial_tryon_dataset.TryonDataset.
        num: how many of them, None takes all.
    """
    try:
        lines = open_dataset(request.data).data
    except KeyError as error:
        raise ValueError(
            f"{request.data} holds no people in garments, its lines have no {error}: give such a folder by "
            "--data"
        ) from error
    wanted = (request.split,) if request.split else HELD_OUT
    chosen = dict(pairs=request.pairs)
    if not request.pairs:
        chosen = dict(split=choose_split(lines, wanted, request.data, "name another by --split"))
    held_out = HeldOutFittings(open_dataset(request.data, **chosen), num, default_workers(), request.preset)
    if request.preset:
        request.preset.check_sizes(held_out.sizes, request.data)
    return held_out


def evaluate_fittings(request: EvaluationRequest, held_out: HeldOutFittings, choice, out, progress) -> str:
    """Draw what is lacking, measure, write all results into `out`; returns the table as text.

    Args:
        choice: of evaluation.backbones.choose_for_fittings.
        progress: jobs.progress.Progress.
    """
    labels = [OWN] if len(request.paths) == 1 else ["A", "B"]
    checkpoints = [
        read_checkpoint(label, path, request, held_out)
        for label, path in zip(labels, request.paths, strict=True)
    ]
    if request.sweep:
        checkpoints = sweep_guidance(*checkpoints, request.sweep)
        labels = [checkpoint.label for checkpoint in checkpoints]
    repaint, sets = check_repaint(checkpoints), {}
    alone = len(request.paths) == 1
    for checkpoint in checkpoints:
        sets |= draw_all(checkpoint, held_out, out, request, progress, alone)
    sets = dict(sorted(sets.items(), key=lambda entry: entry[0] == CEILING))  # the last column
    if roll(held_out) is None:
        choice.missing[ROLLED] = (
            "there is no other garment of each category to give in place of the right one"
        )
    counts = len(held_out), request.num_seeds, request.batch_size
    pictures = describe_pictures(request.settings, ("steps", "sampler", "eta"), *counts)
    if not any(checkpoint.draws for checkpoint in checkpoints):
        pictures = dict(count_per_set=len(held_out))  # all else is the other program's
    protocol = describe_protocol(
        held_out.facts(request.data, request.pairs),
        {checkpoint.label: checkpoint.facts for checkpoint in checkpoints},
        pictures | dict(repaint=repaint),
        choice.facts,
        request.device,
    )
    if request.preset:
        protocol |= dict(published=request.preset.facts())
    return write_results(out, held_out, sets, list_pairs(labels, sets), choice, protocol, progress)


def list_pairs(labels, sets) -> list[tuple[str, str]]:
    """(a, b) for differences b - a: of the checkpoints or scales, against the first; then of each, against
    other garments and none.
    """
    pairs = [(labels[0], label) for label in labels[1:]]
    for label in labels:
        beside = [ROLLED, FLOOR] if len(labels) == 1 else [f"{way} of {label}" for way in (ROLLED, FLOOR)]
        pairs += [(way, label) for way in beside if way in sets]
    return pairs
