"""Caption a training folder with one captioner, and go on where an earlier run was stopped."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.whole_files import alone_in
from pictures.regions import find_regions
from preparation.captions.column_files import FORMAT, Column, check_name, find_current, identify_weights
from preparation.captions.report import write_report
from preparation.captions.table_columns import Table, check_owner, collect_content, write_column

DTYPES = ("float32", "bfloat16", "float16")
PATIENCE = 60.0  # seconds to wait for another column that is being merged


@dataclass(frozen=True)
class CaptionJob:
    """One captioner's work on one folder.

    Args:
        options: of the captioner's options class.
        weights: its folder, None if it needs none.
        devices: processes on this machine, a device each; None: all accelerators, or one process on a CPU.
        min_agreement: captions whose boxes agree less with the map stay out of the column.
        limit: how many pictures to caption at most in this run, None for all.
    """

    table: Table
    captioner: str
    column: str
    options: object
    weights: Path | None = None
    batch_size: int = 8
    workers: int = 2
    devices: int | None = None
    num_nodes: int = 1
    accelerator: str = "auto"
    dtype: str = "float32"
    min_agreement: float | None = None
    limit: int | None = None

    @property
    def folder(self) -> Path:
        return self.table.folder

    @property
    def records(self) -> Column:
        return Column(self.folder, self.column)

    def settings(self) -> dict:
        """What the captions depend on, as settings.json holds it."""
        return dict(
            format=FORMAT,
            captioner=self.captioner,
            options=asdict(self.options),
            weights=identify_weights(self.weights),
        )

    def check(self) -> None:
        """Raise ValueError for what would otherwise show only after hours; changes nothing."""
        wrong = [
            (self.batch_size < 1, "batch-size", "at least 1"),
            (self.workers < 0, "workers", "at least 0"),
            (self.devices is not None and self.devices < 1, "devices", "at least 1"),
            (self.num_nodes < 1, "num-nodes", "at least 1"),
            (self.limit is not None and self.limit < 1, "limit", "at least 1"),
            (self.dtype not in DTYPES, "dtype", f"one of {', '.join(DTYPES)}"),
            (not 0 <= (self.min_agreement or 0) <= 1, "min-agreement", "from 0 to 1"),
        ]
        for is_wrong, name, wanted in wrong:
            if is_wrong:
                given = getattr(self, name.replace("-", "_"))
                raise ValueError(f"--{name} must be {wanted}, got {given!r}")
        if self.min_agreement is not None and find_regions(self.folder) is None:
            raise ValueError(f"--min-agreement compares with maps, but {self.folder} has no regions.yaml")
        self.options.check(self.folder)
        check_name(self.column, asdict(self.options))
        self.records.check(self.settings())
        check_owner(self.records, self.table.items)

    def find_missing(self) -> tuple[list[dict], int]:
        """A line for each picture that is not captioned as it is now, and how many are; opens the column."""
        self.records.open(self.settings())
        self.table.refresh()
        check_owner(self.records, self.table.items)
        found, lines = self.records.read(), {}
        for line in self.table.items:
            lines.setdefault(line["target"], line)
        missing = [
            line
            for target, line in lines.items()
            if find_current(found.records.get(target, []), self.folder / target) is None
        ]
        if found.damaged:
            print(
                f"{self.records.path}: {len(found.damaged)} lines are no records, the first of them in "
                f"{found.damaged[0]}: their pictures are captioned again",
                flush=True,
            )
        return missing[: self.limit], len(lines) - len(missing)


def caption_folder(job: CaptionJob) -> dict | None:
    """Caption what is missing, write the column into the folder's table, and the report.

    Every process of the run calls this; the first one returns what it counted: `captioned` and `failed`
    pictures, those `left_out` for their agreement, and `new`, those that this run has captioned.
    """
    job.check()
    # Lightning takes seconds to import
    from preparation.captions.predict import CaptionData, Captioning, make_trainer

    with ExitStack() as held:
        data = CaptionData(job, held)
        trainer = make_trainer(job)
        trainer.predict(Captioning(job), datamodule=data, return_predictions=False)
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return None
        summary = merge(job) | dict(new=len(data.all_lines))
    print(describe_outcome(job, summary), flush=True)
    print(f"report: {write_report(job.table)}", flush=True)
    if summary["failed"] and not summary["captioned"] + summary["left_out"]:
        raise ValueError(f"no picture could be captioned: {job.records.path / 'failed.csv'} says why")
    return summary


def merge(job: CaptionJob) -> dict:
    """Write the column from the records that there are; returns the counts."""
    with alone_in(job.folder, PATIENCE):
        job.table.refresh()
        content = collect_content(job.records, job.table.items, job.min_agreement)
        write_column(job.table, job.records, content, job.min_agreement)
    return dict(
        captioned=len(content.captions), failed=len(content.failed), left_out=len(content.disagree)
    ) | dict(table=job.table.path)


def describe_outcome(job: CaptionJob, summary: dict) -> str:
    """The counts in words, with the files that list what is not in the column."""
    told = [f"{summary['captioned']} captioned ({summary['new']} looked at now)"]
    for name, file in (("failed", "failed.csv"), ("left_out", "disagree.csv")):
        where = f", see {job.records.path / file}" if summary[name] else ""
        told.append(f"{summary[name]} {name.replace('_', ' ')}{where}")
    return f"{job.folder}: {'; '.join(told)}; column {job.column} is in {summary['table']}"
