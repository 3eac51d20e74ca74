"""A training folder's files compared with what was noted of them: lost ones, and ones corrected by hand."""

import zlib
from dataclasses import replace
from pathlib import Path

from pictures.decoding import decode, open_picture, read_hint, read_size
from pictures.region_maps import load_map
from pictures.unusable import Rejection, Unusable
from preparation.one_photo import Job, name_regions
from preparation.record import Record

START_OF_JPEG = b"\xff\xd8"


def find_lost(out: Path, records: list[Record]) -> list[Record]:
    """Records of which a file is missing, empty, or no longer a picture; such a file is removed."""
    return [record for record in records if not _has_files(out, record)]


def _has_files(out: Path, record: Record) -> bool:
    is_there = {record.source: _has_map(out, record), record.target: _has_photo(out, record)}
    for name, there in is_there.items():
        if not there:
            (out / name).unlink(missing_ok=True)
    return all(is_there.values())


def _has_map(out: Path, record: Record) -> bool:
    path = out / record.source
    if not path.is_file():
        return False
    return zlib.crc32(path.read_bytes()) == record.map_crc or _is_picture(path)


def _has_photo(out: Path, record: Record) -> bool:
    """Not whether it is the very same, which would mean to read all of them."""
    path = out / record.target
    if not path.is_file():
        return False
    if path.stat().st_size != record.target_bytes:
        # retouched by hand, or cut short by a power cut
        return _is_picture(path)
    with open(path, "rb") as file:
        # a power cut may leave nothing but zeros
        return file.read(len(START_OF_JPEG)) == START_OF_JPEG


def _is_picture(path: Path) -> bool:
    data = path.read_bytes()
    try:
        decode(open_picture(data), data)
    except Unusable:
        return False
    return True


def read_corrections(job: Job, records: list[Record]) -> tuple[list[Record], list[Rejection]]:
    """The records as their files are now, and what can't be used after somebody has corrected it.

    Maps are read anew where their bytes have changed; regions and areas follow them.
    """
    current, rejected = [], []
    for record in records:
        try:
            current.append(_as_it_is(job, record))
        except (OSError, ValueError) as error:
            rejected.append(Rejection(record.photo, 0, f"{record.source}: {error}"))
    return current, rejected


def _as_it_is(job: Job, record: Record) -> Record:
    source, target = job.out / record.source, job.out / record.target
    if not source.is_file() or not target.is_file():
        raise ValueError("it or its photo is missing and can't be made again, as the raw photo has changed")
    changes = {}
    if target.stat().st_size != record.target_bytes:
        _check_size(record, "the photo", *read_size(target))
        changes |= {"target_bytes": target.stat().st_size, "target_crc": zlib.crc32(target.read_bytes())}
    crc = zlib.crc32(source.read_bytes())
    if crc != record.map_crc:
        changes |= {"map_crc": crc, **_read_map(job, record, source)}
    return replace(record, **changes)


def _read_map(job: Job, record: Record, source: Path) -> dict:
    if job.names is None:
        _check_size(record, "the map", *read_hint(source).shape[:2])
        return {}
    ids = load_map(source, job.colours)
    _check_size(record, "the map", *ids.shape)
    return name_regions(ids, job.names)


def _check_size(record: Record, what: str, *size: int) -> None:
    if list(size) != record.size:
        wanted = " x ".join(map(str, record.size))
        raise ValueError(f"{what} is {size[0]} x {size[1]} now, {wanted} is wanted")
