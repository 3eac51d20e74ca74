"""The checkpoints to be compared, each with its pictures and those of its base without control."""

from dataclasses import dataclass, replace
from pathlib import Path

from cldm.weights.load import find_data, load_control, newest_checkpoint
from cldm.weights.load_tryon import puts_garments_on
from evaluation.comparison import FLOOR
from evaluation.held_out import HeldOut, check_regions
from evaluation.picture_sets import count_missing, digest_tensors, draw_set, make_picture_set
from generation.control_files import digest
from generation.generate import Settings
from ldm.checkpoint import read_metadata

TINY_SCALE, SCALE = 3.0, 7.5  # ControlNet++ (arXiv 2404.07987) and its tables take 7.5
PICTURE_FACTS = "steps", "sampler", "scale", "guidance_rescale", "eta", "negative_prompt", "seed"


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint; `label` is what its columns are called, `facts` go into the protocol."""

    label: str
    path: Path
    settings: Settings
    facts: dict


def choose_checkpoints(paths: list[str]) -> list[Path]:
    """One or two checkpoints of a command line, or the newest training result where it names none.

    They may be folders of pictures.
    """
    found = newest_checkpoint(names=("control", "tryon", "full_step_*"))
    if not paths and found is None:
        raise FileNotFoundError(
            "there is no trained control in runs/: `make demo` trains one, or name a control.safetensors"
        )
    if len(paths) > 2:
        raise ValueError(f"one checkpoint is measured, or two are compared, got {len(paths)}")
    for path in paths:
        if not Path(path).exists():
            raise FileNotFoundError(f"the checkpoint {path} does not exist")
    return [Path(path) for path in paths] or [found]


def is_of_tryon(path, config=None) -> bool:
    """Whether a checkpoint puts garments on, or a folder holds such pictures; `config` goes before it."""
    return not config and Path(path).is_dir() or puts_garments_on(path, config)


def choose_data(named: Path | None, path) -> Path:
    """The training folder that is named, else a checkpoint's own; ValueError for a folder of pictures."""
    if named is None and Path(path).is_dir():
        raise ValueError(f"{path} is a folder of pictures: say by --data which people they show")
    return named or find_data(path)


def check_files(paths) -> None:
    """FileNotFoundError where a checkpoint that is to draw is a folder."""
    for path in paths:
        if path.is_dir():
            raise FileNotFoundError(f"the checkpoint {path} is a folder, not a file")


def find_run_segmenter(path) -> str:
    """The segmenter that a checkpoint's own training was measured with; empty if none."""
    options = read_metadata(path).get("options", {})
    named = options.get("segmenter", "") if isinstance(options, dict) else ""
    if not isinstance(named, str):
        raise ValueError(f"{path}: segmenter of its metadata is no text: {named!r:.60}")
    return named


def read_checkpoint(label, path, request, held_out: HeldOut) -> Checkpoint:
    """Load a checkpoint to see what it is, and whether it can draw these items.

    Raises:
        ValueError: it cannot; the message says why.
    """
    loaded = load_control(path, request.config, request.device)
    for note in loaded.notes:
        print(f"{path}: {note}", flush=True)
    check_regions(held_out.regions, loaded.encoder, request.data, path)
    scale = request.scale
    if scale is None:
        scale = TINY_SCALE if 8 * loaded.model.image_size < 256 else SCALE
    facts = dict(
        file=str(path),
        sha256=digest(path),
        drawn_by=loaded.source,
        model=str(loaded.config),
        sha256_of_all_but_control=digest_tensors(loaded.model, path),
        scale=scale,
        zero_terminal_snr=loaded.zero_terminal_snr,
        colours=loaded.encoder.metadata() if loaded.encoder else None,
    )
    return Checkpoint(label, Path(path), replace(request.settings, scale=scale), facts)


def list_sets(checkpoint: Checkpoint, out, num_seeds, floor_label) -> list[tuple]:
    """(label, PictureSet, whether they are drawn with control), with and without it."""
    settings, said = checkpoint.settings, checkpoint.facts
    drawn = {name: getattr(settings, name) for name in PICTURE_FACTS}
    base = drawn | {name: said[name] for name in ("sha256_of_all_but_control", "zero_terminal_snr")}
    control = base | dict(control=said["sha256"], colours=said["colours"])
    return [
        (checkpoint.label, make_picture_set(out, "control", control, num_seeds), True),
        (floor_label, make_picture_set(out, "floor", base, num_seeds), False),
    ]


def draw_all(checkpoint, held_out: HeldOut, out, request, known, progress) -> dict:
    """Draw what a checkpoint's sets lack; returns PictureSets by label, without floors that are `known`.

    `known` are PictureSets of checkpoints before it, `progress` is jobs.progress.Progress.
    """
    floor_label = f"{FLOOR}, base of {checkpoint.label}" if known else FLOOR
    folders = {pictures.folder for pictures in known.values()}
    wanted = list_sets(checkpoint, out, request.num_seeds, floor_label)
    wanted = [(label, *rest) for label, *rest in wanted if rest[0].folder not in folders]
    todo = sum(count_missing(held_out, pictures) for _, pictures, _ in wanted)
    if todo:
        total = len(wanted) * request.num_seeds * len(held_out)
        report = progress(f"drawing by {checkpoint.path}", total, "pictures", total - todo).add
        loaded = load_control(checkpoint.path, request.config, request.device)
        for _, pictures, controlled in wanted:
            settings, batch_size = checkpoint.settings, request.batch_size
            draw_set(loaded, held_out, pictures, controlled, settings, batch_size, report)
    return {label: pictures for label, pictures, _ in wanted}
