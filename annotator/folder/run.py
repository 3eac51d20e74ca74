"""The run of tool_annotate.py: photos read ahead, annotated one by one, and their maps written."""

import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from annotator.folder import table
from annotator.folder.photos import ahead, find_photos, named, read_photo
from annotator.folder.sheet import write_sheet
from annotator.folder.table import MASKS, TABLE
from annotator.interface import Annotator
from jobs.parallel import num_cores
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from pictures.unusable import Unusable

TOLD = 5


@dataclass
class Job:
    """A folder's photos by the path of their map, rows of its table by the same, and (photo, reason)s."""

    photos: Path
    out: Path
    annotator: Annotator
    maps: dict[str, str]
    rejected: list[tuple[str, str]]
    rows: dict[str, dict] = field(default_factory=dict)

    def row(self, name: str, pixels) -> dict:
        height, width = pixels.shape[:2]
        told = dict(map=f"{MASKS}/{name}", photo=self.maps[name], width=width, height=height)
        return told | dict(found=self.annotator.maps.describe_content(pixels))

    def read(self, name: str):
        return read_photo(self.photos / self.maps[name])

    def write(self, name: str, pixels) -> None:
        path = self.out / MASKS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.annotator.maps.encode(pixels))

    def reject(self, name: str, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.rejected.append((self.maps[name], reason.splitlines()[0] if reason else type(error).__name__))


def annotate_folder(photos, out, annotator: Annotator, limit: int | None = None, workers=None) -> dict:
    """Make OUT/masks, a map for each photo, and tables of them; returns the counts that are also printed.

    Run it again to go on after an interruption, or with more photos. Maps that are there stay: they are the
    same, or somebody has corrected them.

    Args:
        limit: of the photos, by name; None takes all.
        workers: threads that read and write; None takes one for each core.
    """
    photos, out, workers = Path(photos), Path(out), workers or num_cores()
    for option, value in (("limit", limit), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"--{option} must be at least 1, got {value}")
    table.check_places(photos, out)
    found, others = find_photos(photos)
    if others:
        counts = [f"{count} {suffix}" for suffix, count in others.most_common(TOLD)]
        rest = others.total() - sum(count for _, count in others.most_common(TOLD))
        counts += [f"{rest} others"] if rest else []
        print(f"{photos}: files that are no photos by their names: {', '.join(counts)}", flush=True)
    if not found:
        raise ValueError(f"{photos} holds no photos: files such as .jpg, .png, .webp or .tif are wanted")
    job = Job(photos, out, annotator, *named(found[:limit]))
    settings = dict(made_by=table.MINE, photos=str(photos)) | annotator.settings
    with table.open_folder(out, settings), warnings.catch_warnings():
        # Pillow's do not say which photo they are about; what can't be read is rejected with its reason
        warnings.filterwarnings("ignore", module="PIL")
        _find_done(job)
        try:
            _annotate_missing(job, workers)
        finally:
            _write_tables(job)
        return _told(job)


def _find_done(job: Job) -> None:
    """Fill the job's rows with those of maps that are there; word of photos that are newer than these."""
    path = job.out / TABLE
    known, newer = table.read_table(path), []
    age = path.stat().st_mtime_ns if known else 0
    for name, photo in job.maps.items():
        path, row = job.out / MASKS / name, known.get(f"{MASKS}/{name}")
        if not path.is_file():
            continue
        made = path.stat().st_mtime_ns
        if row is None or row["photo"] != photo or made > age:
            # an interruption came between map and row, or somebody has corrected the map
            try:
                row = job.row(name, job.annotator.maps.read(path))
            except Unusable as error:
                job.rejected.append((photo, f"{error}: correct it, or delete it to have it made anew"))
                row = {}
        job.rows[name] = row
        if (job.photos / photo).is_file() and (job.photos / photo).stat().st_mtime_ns > made:
            newer.append(path)
    if newer:
        print(f"{len(newer)} photos are newer than their maps, which stay: delete {newer[0]} to have it anew")


def _annotate_missing(job: Job, workers: int) -> None:
    missing = [name for name in job.maps if name not in job.rows]
    progress = Progress(str(job.out), len(job.maps), "photos", len(job.rows))
    job.rows = {name: row for name, row in job.rows.items() if row}
    table.write_table(job.out / TABLE, job.rows.values())
    with open(job.out / TABLE, "a", encoding="utf-8") as file, ThreadPoolExecutor(workers) as pool:
        try:
            for name, writing in _written(job, pool, missing, workers):
                if writing:
                    writing.result()
                    file.write(table.csv_text([job.rows[name]]))
                    file.flush()
                progress.add(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _written(job: Job, pool: ThreadPoolExecutor, missing: list[str], workers: int):
    """Yield (name, Future of its map's writing, or None where the photo was rejected), in order."""
    writing = deque()
    for name, photo in ahead(pool, job.read, missing, 2 * workers):
        writing.append((name, None))
        try:
            if isinstance(photo, Exception):
                raise photo
            pixels = job.annotator.call(photo)
            job.rows[name] = job.row(name, pixels)
            writing[-1] = name, pool.submit(job.write, name, pixels)
        except (Unusable, OSError, *job.annotator.faults) as error:
            job.reject(name, error)
        while len(writing) > workers:
            yield writing.popleft()
    yield from writing


def _write_tables(job: Job) -> None:
    rows = [job.rows[name] for name in job.maps if (job.out / MASKS / name).is_file() and name in job.rows]
    table.write_table(job.out / TABLE, rows)
    nothing = [row for row in rows if not row["found"]]
    table.write_or_remove(job.out / table.NOTHING, nothing, ("map", "photo"))
    rejected = [dict(photo=photo, reason=reason) for photo, reason in sorted(job.rejected)]
    table.write_or_remove(job.out / table.REJECTED, rejected, ("photo", "reason"))
    if job.annotator.maps.regions_yaml:
        write_atomically(job.out / table.REGIONS, job.annotator.maps.regions_yaml)


def _told(job: Job) -> dict:
    """The summary, printed, with the sheet written; ValueError where there is no map at all."""
    for photo, reason in sorted(job.rejected)[:TOLD]:
        print(f"  {photo}: {reason}")
    if not job.rows:
        raise ValueError(f"no photo could be annotated: {job.out / table.REJECTED} says why")
    nothing = sum(not row["found"] for row in job.rows.values())
    shown = write_sheet(job, job.out / table.SHEET)
    words = [f"{len(job.rows)} maps in {MASKS}/"]
    words += [f"nothing was found for {nothing} of them, see {table.NOTHING}"] if nothing else []
    words += [f"{len(job.rejected)} photos rejected, see {table.REJECTED}"] if job.rejected else []
    print(f"{job.out}: {'; '.join(words)}; {table.SHEET} shows {shown}")
    return dict(maps=len(job.rows), nothing=nothing, rejected=len(job.rejected))
