"""From raw photos and annotations to a training folder: everything that tool_prepare_data.py does."""

import json
from hashlib import sha256
from pathlib import Path

from jobs.parallel import run_jobs
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from pictures.unusable import Rejection
from preparation import prompt_json
from preparation.captions.table_columns import add_columns, check_raw_columns
from preparation.checks import choose_thresholds, judge
from preparation.corrections import find_lost, read_corrections
from preparation.duplicates import group_alike
from preparation.examples import Example, Source
from preparation.fittings import FittingOptions, is_fittings, prepare_fittings
from preparation.imagefolder import write_imagefolder
from preparation.journal import CHUNK, FORMAT, Journal, open_folder
from preparation.one_photo import Job, check_crop_names
from preparation.options import PrepareOptions
from preparation.people import detect_unlabelled
from preparation.record import Record
from preparation.report import write_report
from preparation.shards import write_shards
from preparation.sources import identity, open_source


def prepare_folder(raw, out, options: PrepareOptions | None = None) -> dict:
    """Turn raw data (sources.KINDS) into the training folder `out`; returns the summary that is also printed.

    Run it again to go on after an interruption, with other checks, splits, prompts or exports, or after
    correcting maps by hand: what is there stays. Other data or another geometry need another folder.
    """
    raw, out, options = Path(raw), Path(out), options or PrepareOptions()
    options.check()
    if raw.resolve() == out.resolve():
        raise ValueError(f"{out} is the raw data itself: give another folder to write to")
    if is_fittings(raw):
        fitting = dict(
            mask_style=options.mask_style, mended=not options.published_masks, workers=options.workers
        )
        return prepare_fittings(raw, out, FittingOptions((options.size, options.size * 3 // 4), **fitting))
    chosen = choose_thresholds(options.thresholds)
    print(f"{raw}: reading", flush=True)
    source = open_source(raw, options)
    if options.second_crop:
        check_crop_names(source.examples)
    check_raw_columns(out, {name for example in source.examples for name in example.captions})
    with open_folder(out, _settings(source, options, identity(raw, source))):
        return _fill_folder(out, source, options, chosen)


def _fill_folder(out: Path, source: Source, options: PrepareOptions, chosen: dict) -> dict:
    """Prepare what is missing, then write all tables anew; `chosen` are the checks' thresholds."""
    job = Job(out, options, source.names, source.colours)
    noted, rejected = _do_chunks(job, source)
    records, spoilt = read_corrections(job, noted)
    rejected = [*source.rejected, *rejected, *spoilt]
    records = _with_what_may_change(out, source, records, options)
    prompt_json.check_prompt(options.prompt, records)
    print(f"{out}: comparing {len(records)} pictures, writing tables and report", flush=True)
    reasons = judge(records, chosen)
    lines = prompt_json.make_lines(records, group_alike(records, chosen["near_duplicate"]), options)
    kept = [line for line, faults in zip(lines, reasons, strict=True) if not faults]
    left_out = [line | {"out": faults} for line, faults in zip(lines, reasons, strict=True) if faults]
    summary = {
        "photos": prompt_json.count_photos(source, records),
        "rows": prompt_json.count_rows(source.num_rows, noted, rejected),
        **prompt_json.count_pictures(kept, left_out),
    }
    _write_tables(out, source, kept, left_out, rejected, summary)
    _export(out, kept, options)
    write_report(out, kept, left_out, {record.name: record for record in records}, rejected, summary, chosen)
    prompt_json.print_summary(out, summary)
    return summary


def _settings(source: Source, options: PrepareOptions, identity: dict) -> dict:
    """What the files depend on, as settings.json holds it."""
    regions = sha256(source.regions_yaml).hexdigest()[:16] if source.regions_yaml else "none, pictures"
    return {"format": FORMAT, **options.of_files(), "regions": regions, **identity}


def _do_chunks(job: Job, source: Source) -> tuple[list[Record], list[Rejection]]:
    """Do what is not done yet, and again what has been lost since; records and rejections of all photos."""
    journal = Journal(job.out, source.examples)
    missing = journal.missing()
    done = len(source.examples) - sum(len(journal.chunks[index]) for index in missing)
    results = _run(job, [journal.chunks[index] for index in missing], len(source.examples), done)
    for index, result in zip(missing, results, strict=True):
        journal.write(index, [([record.to_line() for record in found], rest) for found, rest in result])
    lines, rejected = journal.read()
    records = [Record(**line) for line in lines]
    lost = {record.example for record in find_lost(job.out, records)}
    if lost:
        print(f"{job.out}: files of {len(lost)} photos are missing or damaged; making them again", flush=True)
        examples = [example for example in source.examples if example.name in lost]
        chunks = [examples[i : i + CHUNK] for i in range(0, len(examples), CHUNK)]
        for _ in _run(job, chunks, len(examples), 0):
            pass
    return records, rejected


def _run(job: Job, chunks: list[list[Example]], total: int, done: int):
    """The results of each chunk of examples, in order, while progress is shown."""
    progress = Progress(str(job.out), total, "photos", done)
    workers = max(1, min(job.options.workers, len(chunks)))
    results = run_jobs(job.prepare_all, ((chunk,) for chunk in chunks), workers)
    for chunk, result in zip(chunks, results, strict=True):
        yield result
        progress.add(len(chunk))


def _with_what_may_change(
    out: Path, source: Source, records: list[Record], options: PrepareOptions
) -> list[Record]:
    """The records with the captions that there are now, of captioners too, and what a detector finds."""
    captions = {example.name: example.captions for example in source.examples}
    for record in records:
        record.captions = captions[record.example] | record.captions
    if options.person_detector:
        found = detect_unlabelled(out, records, options.person_detector, options.device)
        for record in records:
            record.measures["unlabelled"] = found[record.name]
    return [Record(**line) for line in add_columns(out, [record.to_line() for record in records])]


def _export(out: Path, kept: list[dict], options: PrepareOptions) -> None:
    """Other forms of the folder that were asked for; word of those that an earlier run has left."""
    if options.imagefolder:
        write_imagefolder(out, kept)
    if options.shards:
        write_shards(out, kept, options.shards)
    for name, is_new in (("imagefolder", options.imagefolder), ("shards", options.shards)):
        if (out / name).exists() and not is_new:
            print(f"warning: {out / name} is as an earlier run left it; --{name} brings it up to date")


def _write_tables(out: Path, source: Source, kept, left_out, rejected, summary: dict) -> None:
    """All tables; prompt.json, which says that the folder can be trained on, is the last."""
    write_atomically(out / "rejected.csv", prompt_json.rejected_csv(rejected))
    write_atomically(out / "left_out.jsonl", prompt_json.json_lines(left_out))
    write_atomically(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    if source.regions_yaml:
        write_atomically(out / "regions.yaml", source.regions_yaml)
    write_atomically(out / "prompt.json", prompt_json.json_lines(kept))
