"""The pictures as tar shards of the webdataset library, for training on many machines from network storage.

    OUT/shards/train-000000.tar, train-000001.tar, ..., val-000000.tar, test-000000.tar, shards.json

A sample is KEY.jpg (the photo), KEY.json (the line of prompt.json), KEY.png (the map as it is: ids and
palette) and KEY.txt (the prompt), pictures byte for byte. KEY is the picture's name; as webdataset cuts a
file's name at its first dot, a dot in it is written %2E, and a percent sign %25. Each worker of each machine
reads its own shards, so there must be one at least for each: give fewer samples a shard where there are too
few.

    import json
    import webdataset as wds
    shards = json.load(open("OUT/shards/shards.json"))["train"]
    items = wds.WebDataset(
        [f"OUT/shards/{shard['name']}" for shard in shards],
        shardshuffle=100, nodesplitter=wds.split_by_node, workersplitter=wds.split_by_worker,
    )
    items = items.shuffle(1000).decode("rgb8").to_tuple("jpg", "png", "txt", "json")
    loader = wds.WebLoader(items, batch_size=None, num_workers=4)

`rgb8` gives the photo and, in its palette's colours, the map: uint8 (h, w, 3) both. Pictures of one `bucket`
(in the json) have one size and make a batch.
"""

import hashlib
import json
from pathlib import Path

from jobs.whole_files import remove_temporary, write_atomically

SPLITS = ("train", "val", "test")


def write_shards(out: Path, lines: list[dict], per_shard=1000) -> dict:
    """Make OUT/shards hold the lines of prompt.json, in their order, `per_shard` samples a tar.

    The bytes depend on nothing but the samples. Run again, it writes the shards whose samples have changed or
    that were not reached before an interruption, and removes those that are no longer wanted.
    Returns:
        what shards.json holds: by split a list of dict(name, samples, bytes, sha256), the hash being that of
        the samples.
    """
    out, folder = Path(out), Path(out) / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _divide(lines, per_shard)
    digests = {name: _digest(out, members) for name, members in wanted.items()}
    done = {
        name: entry
        for name, entry in _read_index(folder).items()
        if entry["sha256"] == digests.get(name) and _size(folder / name) == entry["bytes"]
    }
    # a shard about to change is taken off the list first: what the index lists is always as it says
    _write_index(folder, done)
    remove_temporary(folder)
    for path in folder.iterdir():
        if path.is_file() and path.name not in {*done, "shards.json"}:
            path.unlink()
    for name, members in wanted.items():
        if name not in done:
            _write_tar(folder / name, out, members)
            sizes = dict(samples=len(members), bytes=_size(folder / name))
            done[name] = dict(name=name) | sizes | dict(sha256=digests[name])
            _write_index(folder, done)
    return _by_split(done)


def _divide(lines: list[dict], per_shard: int) -> dict[str, list[dict]]:
    """The lines of each shard by the shard's file name."""
    wanted = {}
    for split in SPLITS:
        members = [line for line in lines if line["split"] == split]
        for number, start in enumerate(range(0, len(members), per_shard)):
            wanted[f"{split}-{number:06d}.tar"] = members[start : start + per_shard]
    return wanted


def _samples(out: Path, members: list[dict]):
    """What webdataset's TarWriter takes: dict(__key__, and bytes by the ending of the file's name)."""
    for line in members:
        key = Path(line["target"]).stem.replace("%", "%25").replace(".", "%2E")
        yield {
            "__key__": key,
            "jpg": (out / line["target"]).read_bytes(),
            "json": json.dumps(line).encode(),
            "png": (out / line["source"]).read_bytes(),
            "txt": line["prompt"].encode(),
        }


def _digest(out: Path, members: list[dict]) -> str:
    """A hash of all that a shard of these lines holds."""
    digest = hashlib.sha256()
    for sample in _samples(out, members):
        digest.update(sample.pop("__key__").encode())
        for ending, content in sample.items():
            digest.update(f" {ending} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _write_tar(path: Path, out: Path, members: list[dict]) -> None:
    import webdataset

    def write(temporary):
        writing = webdataset.TarWriter(str(temporary), encoder=False, mtime=0, user="", group="")
        with writing as tar:
            for sample in _samples(out, members):
                tar.write(sample)

    write_atomically(path, write)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _read_index(folder: Path) -> dict[str, dict]:
    """The entries of shards.json by name, none where there is no such file."""
    path = folder / "shards.json"
    try:
        by_split = json.loads(path.read_bytes()) if path.is_file() else {}
        return {entry["name"]: entry for entries in by_split.values() for entry in entries}
    except (ValueError, AttributeError, TypeError, KeyError):
        # damaged: all shards are written again
        return {}


def _write_index(folder: Path, done: dict[str, dict]) -> None:
    write_atomically(folder / "shards.json", (json.dumps(_by_split(done), indent=1) + "\n").encode())


def _by_split(done: dict[str, dict]) -> dict[str, list[dict]]:
    names = {split: sorted(name for name in done if name.startswith(split + "-")) for split in SPLITS}
    return {split: [done[name] for name in names[split]] for split in SPLITS}
