"""An evaluation from checkpoints to files: draw, measure, write."""

from dataclasses import dataclass
from pathlib import Path

from cldm.weights.load import encoder_of
from evaluation import checkpoints as of_checkpoints
from evaluation.comparison import FLOOR, PHOTOS, compare_sets, measure_rows
from evaluation.held_out import HeldOut
from evaluation.page import write_page
from evaluation.protocol import describe_protocol
from evaluation.tables import format_markdown, write_tables
from generation.generate import Settings
from ldm.checkpoint import read_metadata
from pictures.hint import HintEncoder


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked for; `scale` None takes each model family's."""

    paths: list[Path]
    data: Path
    split: str
    num_seeds: int
    settings: Settings
    scale: float | None
    config: str | None
    batch_size: int
    device: str

    @classmethod
    def of(cls, arguments, paths, device) -> "EvaluationRequest":
        """Of a command line; ValueError for options out of range."""
        for name in ("num", "batch_size"):
            if getattr(arguments, name) < 1:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} must be at least 1, got {getattr(arguments, name)}")
        scale = {} if arguments.guidance is None else dict(scale=arguments.guidance)
        settings = Settings(steps=arguments.sampling_steps, sampler=arguments.sampler, **scale)
        return cls(
            paths,
            arguments.data,
            arguments.split,
            arguments.num,
            settings,
            arguments.guidance,
            arguments.config,
            arguments.batch_size,
            device,
        )


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
    rows = measure_sets(choice, held_out, sets, progress)
    results = compare_sets(choice.gauges, rows, list_pairs(labels, sets), progress)
    facts = held_out.facts(request.data, request.split)
    protocol = describe_protocol(
        facts, checkpoints, request.num_seeds, request.batch_size, choice.facts, request.device
    )
    write_tables(out, results, choice.missing, protocol)
    write_page(out, held_out, sets, results, choice.missing, protocol)
    return format_markdown(results, choice.missing, protocol)


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
