"""A cache whose files are damaged is neither trained from nor taken for complete."""

import json

import pytest

from batches.cache.build import build_cache
from batches.cache.items import CachedItems
from cldm.model import read_config
from small_data import TALL, WIDE, write_items
from tutorial_dataset import MyDataset


@pytest.fixture
def folder(tmp_path, base):
    write_items(tmp_path, [WIDE, TALL, WIDE, TALL, WIDE])
    return built(tmp_path, base)


def built(folder, base):
    build_cache(MyDataset(folder), base / "ini.safetensors", base / "small.yaml")
    return folder


def read_all(folder, base):
    dataset = CachedItems(MyDataset(folder), base / "ini.safetensors", base / "small.yaml")
    return [dataset[i] for i in range(len(dataset))]


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "cache").iterdir()}


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


@pytest.mark.parametrize("kind", ["moments", "text"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: flipped(data, 40),
        lambda data: flipped(data, len(data) // 2),
    ],
    ids=["empty", "cut", "zeroed", "header", "values"],
)
def test_a_damaged_file_is_refused_and_made_again(folder, base, kind, harm):
    whole = files(folder)
    path = next((folder / "cache").glob(f"{kind}_*"))
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path.name} is damaged.*build_cache.*cached=false"):
        read_all(folder, base)
    assert files(built(folder, base)) == whole
    assert len(read_all(folder, base)) == 5


@pytest.mark.parametrize("text", ["[]", "{}", "null", '"a"', '{"weights": 1}'])
def test_an_index_of_another_kind_is_refused(folder, base, text):
    (folder / "cache" / "index.json").write_text(text)
    with pytest.raises(ValueError, match="index.json cannot be read .*build_cache"):
        read_all(folder, base)


def test_the_remedy_is_a_command_that_keeps_edited_prompts(folder, base):
    lines = [json.loads(line) for line in (folder / "prompt.json").read_text().splitlines()]
    lines[0]["prompt"] = "edited"
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match="lacks 1 prompts, edited") as refused:
        read_all(folder, base)
    exec(str(refused.value).split('python -c "')[1].split('"')[0])
    assert read_all(folder, base)[0]["txt"] == "edited"


def test_a_batch_of_nothing_is_refused_before_anything_is_written(tmp_path, base):
    write_items(tmp_path, [WIDE])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got -3"):
        build_cache(MyDataset(tmp_path), base / "ini.safetensors", base / "small.yaml", batch_size=-3)
    assert not (tmp_path / "cache").exists()


def test_a_preset_of_training_is_no_model(tmp_path):
    (tmp_path / "preset.yaml").write_text("model: models/cldm_tiny.yaml\n")
    with pytest.raises(ValueError, match="preset.yaml describes no model"):
        read_config(tmp_path / "preset.yaml")
