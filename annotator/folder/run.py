"""The run of tool_annotate.py: photos read ahead, annotated one by one, and their maps written."""

import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from annotator.folder import folder_files
from annotator.folder.folder_files import MASKS, TABLE
from annotator.folder.photos import find_photos, name_maps, read_ahead, read_whole_photo
from annotator.folder.sheet import write_sheet
from annotator.interface import Annotator
from jobs.parallel import default_workers
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from pictures.unusable import Unusable

MOST_LISTED = 5


@dataclass
class AnnotatingJob:
    """A folder's photos by the path of their map, rows of its table by the same, and (photo, reason)s."""

    photos: Path
    out: Path
    annotator: Annotator
    maps: dict[str, str]
    rejected: list[tuple[str, str]]
    rows: dict[str, dict] = field(default_factory=dict)

    def make_row(self, name: str, pixels) -> dict:
        height, width = pixels.shape[:2]
        row = dict(map=f"{MASKS}/{name}", photo=self.maps[name], width=width, height=height)
        return row | dict(found=self.annotator.maps.describe_content(pixels))

    def read(self, name: str):
        return read_whole_photo(self.photos / self.maps[name])

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
    photos, out, workers = Path(photos), Path(out), workers or default_workers()
    for option, value in (("limit", limit), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"--{option} must be at least 1, got {value}")
    folder_files.check_places(photos, out)
    found, others, closed = find_photos(photos)
    if others:
        counts = [f"{count} {suffix}" for suffix, count in others.most_common(MOST_LISTED)]
        rest = others.total() - sum(count for _, count in others.most_common(MOST_LISTED))
        counts += [f"{rest} others"] if rest else []
        print(f"{photos}: files that are no photos by their names: {', '.join(counts)}", flush=True)
    if not found:
        raise ValueError(f"{photos} holds no photos: files such as .jpg, .png, .webp or .tif are wanted")
    maps, rejected = name_maps(found[:limit])
    rejected += closed
    job = AnnotatingJob(photos=photos, out=out, annotator=annotator, maps=maps, rejected=rejected)
    settings = dict(made_by=folder_files.MINE, photos=str(photos)) | annotator.settings
    with folder_files.open_folder(out, settings), warnings.catch_warnings():
        # Pillow's do not say which photo they are about; what can't be read is rejected with its reason
        warnings.filterwarnings("ignore", module="PIL")
        _find_done(job)
        try:
            _annotate_missing(job, workers)
        finally:
            _write_tables(job)
        return _report(job)


def _find_done(job: AnnotatingJob) -> None:
    """Fill the job's rows with those of maps that are there; word of photos that are newer than these."""
    path = job.out / TABLE
    known, newer = folder_files.read_table(path), []
    age = path.stat().st_mtime_ns if known else 0
    for name, photo in job.maps.items():
        path, row = job.out / MASKS / name, known.get(f"{MASKS}/{name}")
        if not path.is_file():
            continue
        made = path.stat().st_mtime_ns
        if row is None or row["photo"] != photo or made > age:
            # an interruption came between map and row, or somebody has corrected the map
            try:
                row = job.make_row(name, job.annotator.maps.read(path))
            except Unusable as error:
                job.rejected.append((photo, f"{error}: correct it, or delete it to have it made anew"))
                row = {}
        job.rows[name] = row
        if (job.photos / photo).is_file() and (job.photos / photo).stat().st_mtime_ns > made:
            newer.append(path)
    if newer:
        print(f"{len(newer)} photos are newer than their maps, which stay: delete {newer[0]} to have it anew")


def _annotate_missing(job: AnnotatingJob, workers: int) -> None:
    missing = [name for name in job.maps if name not in job.rows]
    progress = Progress(str(job.out), len(job.maps), "photos", len(job.rows))
    job.rows = {name: row for name, row in job.rows.items() if row}
    folder_files.write_table(job.out / TABLE, job.rows.values())
    with open(job.out / TABLE, "a", encoding="utf-8") as file, ThreadPoolExecutor(workers) as pool:
        try:
            for name, writing in _annotate_in_order(job, pool, missing, workers):
                if writing:
                    writing.result()
                    file.write(folder_files.csv_text([job.rows[name]]))
                    file.flush()
                progress.add(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _annotate_in_order(job: AnnotatingJob, pool: ThreadPoolExecutor, missing: list[str], workers: int):
    """Yield (name, Future of its map's writing, or None where the photo was rejected), in order."""
    writing = deque()
    for name, photo in read_ahead(pool, job.read, missing, 2 * workers):
        writing.append((name, None))
        try:
            if isinstance(photo, Exception):
                raise photo
            pixels = job.annotator.call(photo)
            job.rows[name] = job.make_row(name, pixels)
            writing[-1] = name, pool.submit(job.write, name, pixels)
        except (Unusable, OSError, *job.annotator.faults) as error:
            job.reject(name, error)
        while len(writing) > workers:
            yield writing.popleft()
    yield from writing


def _write_tables(job: AnnotatingJob) -> None:
    rows = [job.rows[name] for name in job.maps if (job.out / MASKS / name).is_file() and name in job.rows]
    folder_files.write_table(job.out / TABLE, rows)
    nothing = [row for row in rows if not row["found"]]
    folder_files.write_or_remove(job.out / folder_files.NOTHING, nothing, ("map", "photo"))
    rejected = [dict(photo=photo, reason=reason) for photo, reason in sorted(job.rejected)]
    folder_files.write_or_remove(job.out / folder_files.REJECTED, rejected, ("photo", "reason"))
    if job.annotator.maps.regions_yaml:
        write_atomically(job.out / folder_files.REGIONS, job.annotator.maps.regions_yaml)


def _report(job: AnnotatingJob) -> dict:
    """The summary, printed, with the sheet written; ValueError where there is no map at all."""
    for photo, reason in sorted(job.rejected)[:MOST_LISTED]:
        print(f"  {photo}: {reason}")
    if not job.rows:
        raise ValueError(f"no photo could be annotated: {job.out / folder_files.REJECTED} says why")
    nothing = sum(not row["found"] for row in job.rows.values())
    shown = write_sheet(job, job.out / folder_files.SHEET)
    words = [f"{len(job.rows)} maps in {MASKS}/"]
    words += [f"nothing was found for {nothing} of them, see {folder_files.NOTHING}"] if nothing else []
    words += [f"{len(job.rejected)} photos rejected, see {folder_files.REJECTED}"] if job.rejected else []
    print(f"{job.out}: {'; '.join(words)}; {folder_files.SHEET} shows {shown}")
    return dict(maps=len(job.rows), nothing=nothing, rejected=len(job.rejected))
