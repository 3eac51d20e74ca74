"""From a try-on data set to a training folder: everything that tool_prepare_data.py does with one."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from annotator.agnostic import STYLES
from jobs.parallel import num_cores, run_jobs
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from pictures.regions import standard_regions
from preparation import prompt_json
from preparation.fittings.one_fitting import FOLDERS, FittingJob
from preparation.fittings.report import write_report
from preparation.fittings.sources import FittingSource, open_fittings
from preparation.journal import Journal, open_folder

FORMAT = 1
MULTIPLE = 32


@dataclass(frozen=True)
class FittingOptions:
    """size: (H, W), multiples of 32. mask_style: one of annotator.agnostic.STYLES, for the whole folder;
    without one, the data set's own.

    mended: False makes masks with the published code's faults, for weights that were trained with them.
    prompt: what the person's picture is called, {garment} being the garment's words.
    """

    size: tuple[int, int] = (512, 384)
    mask_style: str = ""
    mended: bool = True
    prompt: str = "a person wears {garment}"
    workers: int = num_cores()

    def check(self) -> None:
        if any(side < MULTIPLE or side % MULTIPLE for side in self.size):
            raise ValueError(f"size must be multiples of {MULTIPLE}, got {self.size[0]} x {self.size[1]}")
        if self.mask_style and self.mask_style not in STYLES:
            raise ValueError(f"mask style must be one of {', '.join(STYLES)}, got {self.mask_style!r}")


def prepare_fittings(raw, out, options: FittingOptions | None = None) -> dict:
    """Turn a try-on data set (sources.KINDS) into the training folder `out`; returns the printed summary.

    Run it again to go on after an interruption, or after correcting masks by hand: what is there stays.
    """
    raw, out, options = Path(raw), Path(out), options or FittingOptions()
    options.check()
    if raw.resolve() == out.resolve():
        raise ValueError(f"{out} is the raw data itself: give another folder to write to")
    print(f"{raw}: reading", flush=True)
    source = open_fittings(raw)
    options = replace(options, mask_style=options.mask_style or source.mask_style)
    with open_folder(out, _settings(source, options)):
        for name in FOLDERS:
            (out / name).mkdir(exist_ok=True)
        return _fill_folder(out, source, options)


def _settings(source: FittingSource, options: FittingOptions) -> dict:
    digest = hashlib.sha256("".join(f"{f.name} {f.garment.name}\n" for f in source.examples).encode())
    return {
        "format": f"fittings {FORMAT}",
        "size": list(options.size),
        "mask_style": options.mask_style,
        "mended": options.mended,
        "fittings": digest.hexdigest()[:16],
    }


def _fill_folder(out: Path, source: FittingSource, options: FittingOptions) -> dict:
    job, journal = (
        FittingJob(out, options.size, options.mask_style, options.mended),
        Journal(out, source.examples),
    )
    missing = journal.missing()
    done = len(source.examples) - sum(len(journal.chunks[index]) for index in missing)
    progress = Progress(str(out), len(source.examples), "fittings", done)
    workers = max(1, min(options.workers, len(missing)))
    results = run_jobs(job.prepare_all, ((journal.chunks[index],) for index in missing), workers)
    for index, result in zip(missing, results, strict=True):
        journal.write(index, result)
        progress.add(len(result))
    records, rejected = journal.read()
    rejected = [*source.rejected, *rejected]
    lines = [_line(record, options) for record in records]
    usable = {record["name"] for record in records}
    unpaired = [pair for pair in source.unpaired if set(pair) <= usable]
    summary = {
        "pictures": {"kept": len(lines)},
        "fittings": len(lines),
        "rejected": len(rejected),
        "splits": dict(Counter(line["split"] for line in lines)),
        "categories": dict(Counter(line["category"] for line in lines)),
        "unpaired": len(unpaired),
        "leaks": source.leaks,
        "mask_style": options.mask_style,
    }
    write_atomically(out / "rejected.csv", prompt_json.rejected_csv(rejected))
    write_atomically(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    write_atomically(out / "regions.yaml", standard_regions().to_yaml())
    write_atomically(
        out / "test_paired.txt",
        _pairs((line["name"], line["name"]) for line in lines if line["split"] == "test"),
    )
    write_atomically(out / "test_unpaired.txt", _pairs(unpaired))
    write_atomically(out / "prompt.json", prompt_json.json_lines(lines))
    write_report(out, lines, rejected, summary)
    leaks = f"; {len(source.leaks)} persons are in training and test" if source.leaks else ""
    print(f"{out}: {len(lines)} fittings, {len(rejected)} rejected (rejected.csv){leaks}; see report.html")
    return summary


def _line(record: dict, options: FittingOptions) -> dict:
    """A line of prompt.json: the control's keys, and the try-on's."""
    words = record["garment_prompt"].strip() or "a garment"
    height, width = record["size"]
    files = {name: record[name] for name in FOLDERS if name in record}
    drawn = dict(drawn=record["drawn"]) if record.get("drawn") else {}
    return {
        **files,
        "prompt": options.prompt.format(garment=words),
        "name": record["name"],
        "size": [height, width],
        "bucket": f"{height}x{width}",
        "split": record["split"],
        "category": record["category"],
        "garment_prompt": record["garment_prompt"],
        "mask_style": options.mask_style,
        **drawn,
    }


def _pairs(pairs) -> bytes:
    return "".join(f"{person} {garment}\n" for person, garment in pairs).encode()
