"""An evaluation from checkpoints to files: draw, measure, write."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from cldm.weights.load import encoder_of
from evaluation import checkpoints as of_checkpoints
from evaluation.checkpoints import check_files
from evaluation.comparison import FLOOR, PHOTOS, compare_sets, measure_rows
from evaluation.held_out import HeldOut, check_split
from evaluation.page import write_page
from evaluation.presets import ProtocolPreset, find_preset
from evaluation.protocol import describe_pictures, describe_protocol
from evaluation.tables import format_markdown, write_tables
from generation.fitting import FittingSettings
from generation.generate import Settings
from ldm.checkpoint import read_metadata
from pictures.hint import HintEncoder

OF_TRYON = "pairs", "repaint", "dino", "protocol", "sweep"  # options


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked for: `settings` are Settings or FittingSettings, `scale` None takes each model's own.

    `sweep`: scales of guidance, each of which draws; `preset`: an evaluation.presets.ProtocolPreset.
    """

    paths: list[Path]
    data: Path
    split: str | None
    num_seeds: int
    settings: Settings | FittingSettings
    scale: float | None
    config: str | None
    batch_size: int
    device: str
    pairs: Path | None = None
    sweep: tuple[float, ...] = ()
    preset: ProtocolPreset | None = None

    @classmethod
    def of_maps(cls, arguments, paths, device) -> "EvaluationRequest":
        """Of a command line; ValueError for options out of range, or that are of try-on."""
        check_files(paths)
        if other := next((name for name in OF_TRYON if getattr(arguments, name) is not None), None):
            raise ValueError(f"--{other} is for try-on, {paths[0]} is a control")
        scale = {} if arguments.guidance is None else dict(scale=arguments.guidance)
        sampler = arguments.sampler or "dpmpp_2m"
        settings = Settings(steps=arguments.sampling_steps, sampler=sampler, **scale)
        return cls.of(arguments, paths, settings, arguments.split or "val", device)

    @classmethod
    def of_fittings(cls, arguments, paths, device) -> "EvaluationRequest":
        """Of a command line; ValueError for options out of range, or that are of a control."""
        if arguments.segmenter is not None:
            raise ValueError(f"--segmenter is for a control, {paths[0]} is of try-on")
        preset, repaint = find_preset(arguments.protocol), arguments.repaint
        if preset:
            preset.check_request(arguments.limit, arguments.num, repaint)
            repaint = repaint or preset.repaint
        steps, sampler = arguments.sampling_steps, arguments.sampler or "ddim"
        settings = FittingSettings(steps=steps, sampler=sampler, repaint=repaint)
        sweep = read_sweep(arguments.sweep, arguments.guidance, paths)
        return replace(
            cls.of(arguments, paths, settings, arguments.split, device), sweep=sweep, preset=preset
        )

    @classmethod
    def of(cls, arguments, paths, settings, split, device) -> "EvaluationRequest":
        """With what both have in common."""
        for name in ("num", "batch_size"):
            if getattr(arguments, name) < 1:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} must be at least 1, got {getattr(arguments, name)}")
        return cls(
            paths,
            arguments.data,
            split,
            arguments.num,
            settings,
            arguments.guidance,
            arguments.config,
            arguments.batch_size,
            device,
            arguments.pairs,
        )


def read_sweep(text: str | None, scale: float | None, paths) -> tuple[float, ...]:
    """The scales of --sweep, "1,1.5,2"; ValueError for what is no list of them, or not of one checkpoint."""
    if text is None:
        return ()
    if scale is not None or len(paths) != 1 or paths[0].is_dir():
        raise ValueError("--sweep is of one checkpoint, and goes without --guidance")
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--sweep is a list of scales such as 1,1.5,2, got {text!r}") from error
    if len({*scales}) < len(scales) or not all(map(math.isfinite, scales)):
        raise ValueError(f"the scales of --sweep must be different numbers, got {text}")
    return scales


def read_regions(data, control) -> HintEncoder | None:
    """What the colours of a training folder's maps mean: it says so, or the control does, or nobody does.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    data = Path(data)
    if not data.exists():
        raise FileNotFoundError(
            f"the training folder {data} does not exist: `make demo` makes training/dolls, "
            "tool_prepare_data.py makes others"
        )
    regions = data / "regions.yaml"
    return (
        HintEncoder.from_file(regions) if regions.is_file() else encoder_of(read_metadata(control), control)
    )


def hold_out(request: EvaluationRequest, open_dataset, num: int | None) -> HeldOut:
    """The maps that are asked for; `open_dataset`: tutorial_dataset.MyDataset, `num` of them or all."""
    regions = read_regions(request.data, request.paths[0])
    check_split(open_dataset(request.data).data, request.data, request.split)
    return HeldOut(open_dataset(request.data, request.split), regions, num)


def evaluate(request: EvaluationRequest, held_out: HeldOut, choice, out, progress) -> str:
    """Draw what is lacking, measure, write all results into `out`; returns the table as text.

    `progress` is jobs.progress.Progress.
    """
    labels = ["control"] if len(request.paths) == 1 else ["A", "B"]
    # all of them before any picture, as what is wrong with the second should not be found hours later
    checkpoints = [
        of_checkpoints.read_checkpoint(label, path, request, held_out)
        for label, path in zip(labels, request.paths, strict=True)
    ]
    sets = {}
    for checkpoint in checkpoints:
        sets |= of_checkpoints.draw_all(checkpoint, held_out, out, request, sets, progress)
    # columns in this order: what was drawn without control first
    sets = dict(sorted(sets.items(), key=lambda entry: not entry[0].startswith(FLOOR)))
    names = "steps", "sampler", "guidance_rescale", "eta", "negative_prompt"
    settings, counts = checkpoints[0].settings, (len(held_out), request.num_seeds, request.batch_size)
    protocol = describe_protocol(
        held_out.facts(request.data, request.split),
        {checkpoint.label: checkpoint.facts for checkpoint in checkpoints},
        describe_pictures(settings, names, *counts),
        choice.facts,
        request.device,
    )
    return write_results(out, held_out, sets, list_pairs(labels, sets), choice, protocol, progress)


def write_results(out, held_out, sets, pairs, choice, protocol, progress) -> str:
    """Measure PictureSets by label, compare the `pairs` of them, write tables and page; the table as text."""
    rows = measure_sets(choice, held_out, sets, progress)
    results = compare_sets(choice.gauges, rows, pairs, progress)
    told = results, choice.missing, protocol
    write_tables(out, *told, held_out.notes)
    write_page(out, held_out, sets, *told)
    return format_markdown(*told, held_out.notes)


def measure_sets(choice, held_out, sets, progress) -> dict:
    """Rows by label of the set, PHOTOS among them."""
    total = len(held_out) * (1 + sum(pictures.num_seeds for pictures in sets.values()))
    report = progress("measuring", total, "pictures").add
    rows = {
        label: measure_rows(choice.gauges, held_out, pictures, report) for label, pictures in sets.items()
    }
    return rows | {PHOTOS: measure_rows(choice.gauges, held_out, None, report)}


def list_pairs(labels, sets) -> list[tuple[str, str]]:
    """(a, b) for differences b - a: the two checkpoints, then each against its base without control."""
    pairs = [tuple(labels)] if len(labels) == 2 else []
    for label in labels:
        own = f"{FLOOR}, base of {label}"
        pairs.append((own if own in sets else FLOOR, label))
    return pairs
