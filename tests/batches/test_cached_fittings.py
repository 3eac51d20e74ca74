"""A try-on batch from the cache is, to the bit, what the same batch of pictures is encoded to."""

import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import default_collate

from batches.augment import Draw, FlippedItems
from batches.cache.build import build_cache
from batches.cache.items import CachedFittings
from cldm.model import create_model
from cldm.tryon.image_encoders import SmallGarments
from ldm.checkpoint import read_state_dict, write_state_dict
from sources import ROOT
from tutorial_dataset import MyDataset
from tutorial_tryon_dataset import CATEGORIES, TryonDataset

RECIPES = sorted((ROOT / "models").glob("tryon_tiny_*.yaml"))
SIZE = (64, 96)
BASE = ROOT / "models" / "tiny" / "base.safetensors"
EXACT = dict(dtype="float32", batch_size=2, flips=True)


def write_fittings(folder, num=4):
    lines = []
    for i in range(num):
        rng = np.random.default_rng(i)
        mask = np.zeros(SIZE, np.uint8)
        mask[8 : 40 + i, 11:50] = 255
        names = dict(target=f"person{i}.png", garment=f"garment{i}.png", mask=f"mask{i}.png")
        pictures = [rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8) for _ in range(2)]
        for name, picture in zip(names.values(), [*pictures, mask], strict=True):
            cv2.imwrite(str(folder / name), picture)
        words = dict(name=str(i), prompt=f"a person in coat {i}", category=CATEGORIES[i % 3], source="none")
        joints = dict(nose=[40 + i, 9], neck=[44, 20], left_shoulder=[60, 21], right_shoulder=[0, 0])
        names |= dict(pose=f"pose{i}.json")
        (folder / names["pose"]).write_text(json.dumps(dict(height=SIZE[0], points=joints)))
        lines.append(names | words | dict(size=list(SIZE)))
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fittings(tmp_path_factory.mktemp("fittings"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """(yaml, checkpoint) with what no tiny recipe has: image encoder, black pictures, fixed prompts, pose."""
    where = tmp_path_factory.mktemp("tokens")
    recipe = yaml.safe_load((ROOT / "models" / "tryon_tiny_joint.yaml").read_text())
    params = recipe["model"]["params"]
    params["conditions"]["garment"]["params"] |= dict(context="a garment", draw="sample")
    encoder = dict(target="cldm.tryon.image_encoders.SmallGarments", params=dict(width=16))
    projector = dict(target="cldm.tryon.image_tokens.MlpTokens", params=dict(width=16, context_dim=64))
    image = dict(encoder=encoder, projector=projector, drop_to="black", dropout=0.5)
    params["conditions"]["text"]["params"] = dict(prompt="a person", dropout=0.5)
    pose = dict(target="cldm.tryon.conditions.LatentChannels", params=dict(key="pose"))
    params["conditions"]["pose"] = pose
    params["unet_config"]["params"]["in_channels"] += params["channels"]
    params["conditions"]["image"] = dict(target="cldm.tryon.conditions.ImageTokens", params=image)
    (where / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    torch.manual_seed(0)
    weights = {f"image_encoder.{name}": tensor for name, tensor in SmallGarments(16).state_dict().items()}
    write_state_dict(read_state_dict(BASE) | weights, where / "ini.safetensors")
    return where / "recipe.yaml", where / "ini.safetensors"


def build_model(recipe, checkpoint):
    torch.manual_seed(0)
    model = create_model(recipe)
    state, ours = read_state_dict(checkpoint), model.state_dict()
    known = {
        name: tensor.float() for name, tensor in state.items() if name in ours and "diffusion" not in name
    }
    model.load_state_dict(known, strict=False)
    return model.train()


def read_batches(dataset, cached):
    """Batches of both, one of them mirrored in part."""
    for draws in ([Draw(0), Draw(1)], [Draw(2, mirrored=True), Draw(3, mirrored=True)]):
        yield [default_collate([FlippedItems(items)[draw] for draw in draws]) for items in (dataset, cached)]


def check_equal_steps(model, dataset, cached):
    for draw in ("mode", "sample"):
        for condition in model.conditions.values():
            condition.draw = draw
        for pictures, ready in read_batches(dataset, cached):
            assert not ready.keys() & {"jpg", "agnostic", "garment", "garment_pixels"}
            (x, encoded), (y, found) = (
                model.get_input(batch, "jpg", generator=torch.Generator().manual_seed(1))
                for batch in (pictures, ready)
            )
            assert torch.equal(x, y)
            for name, values in encoded.items():
                assert values.keys() == found[name].keys()
                assert all(torch.equal(value, found[name][key]) for key, value in values.items()), name
    dropped = {name: torch.tensor([True, False]) for name in model.conditions}
    losses = []
    for batch in (pictures, ready):
        torch.manual_seed(2)
        losses.append(model.shared_step(batch | dict(dropped=dropped), torch.Generator().manual_seed(2))[0])
    assert torch.equal(*losses)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_batch_from_the_cache_is_bit_identical(recipe, folder):
    dataset = TryonDataset(folder)
    build_cache(dataset, BASE, recipe, **EXACT)
    check_equal_steps(
        build_model(recipe, BASE), dataset, CachedFittings(dataset, BASE, recipe, mirrored=True)
    )


def test_image_tokens_black_pictures_fixed_prompts_and_poses_are_bit_identical(folder, tokens):
    dataset = TryonDataset(folder)
    build_cache(dataset, tokens[1], tokens[0], **EXACT)
    cached = CachedFittings(dataset, tokens[1], tokens[0], mirrored=True)
    assert cached[0]["image_features"].shape == (48, 16) and "image_null" in cached[0]
    check_equal_steps(build_model(*tokens), dataset, cached)


def test_what_a_cache_will_take_is_said_before_and_is_what_it_takes(tmp_path, tokens, capsys):
    write_fittings(tmp_path)
    index = build_cache(TryonDataset(tmp_path), tokens[1], tokens[0])
    lines = [line for line in capsys.readouterr().out.splitlines() if "are to be written" in line]
    # moments are 32 x 8 x 12 of 2 bytes, 4 of each kind; features 48 x 16, and those of a black picture
    for part in (
        "persons 24.0 KiB (4)",
        "agnostic persons 24.0 KiB (4)",
        "garments 24.0 KiB (4)",
        "masks 3.0 KiB (4)",
        "garments' features 7.5 KiB (5)",
    ):
        assert part in lines[0]
    said = float(lines[0].split(" takes ")[1].split(" KiB")[0])
    values = sum(
        len(read_state_dict(path)["values"].flatten().view(torch.uint8))
        for path in index.parent.glob("*.safe*")
    )
    assert said == pytest.approx(values / 1024, abs=0.06)
    build_cache(TryonDataset(tmp_path), tokens[1], tokens[0])
    assert "0.0 KiB are to be written" in capsys.readouterr().out


def test_a_cache_of_other_data_weights_or_items_is_refused(tmp_path, tokens):
    recipe, checkpoint = tokens
    dataset = TryonDataset(write_fittings(tmp_path))
    build_cache(dataset, checkpoint, recipe)
    CachedFittings(dataset, checkpoint, recipe)
    with pytest.raises(ValueError, match="lacks 4 mirror images of persons.*TryonDataset.*flips=True"):
        CachedFittings(dataset, checkpoint, recipe, mirrored=True)
    with pytest.raises(ValueError, match="augments them: train without a cache"):
        CachedFittings(TryonDataset(tmp_path, augment=lambda parts, rng: parts), checkpoint, recipe)
    state = read_state_dict(checkpoint)
    state["image_encoder.layers.0.bias"] += 1
    write_state_dict(state, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="whose encoders are not those of .*other.safetensors"):
        CachedFittings(dataset, tmp_path / "other.safetensors", recipe)

    class Edited(TryonDataset):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return item | dict(agnostic=item["agnostic"] * 0)

    with pytest.raises(ValueError, match="changes them .person0.png for one.: train without a cache"):
        CachedFittings(Edited(tmp_path), checkpoint, recipe)
    (tmp_path / "mask1.png").write_bytes(b"other")
    with pytest.raises(ValueError, match="is older than 1 agnostic persons, person1.png mask1.png"):
        CachedFittings(dataset, checkpoint, recipe)


@pytest.mark.parametrize("kind", ["agnostic", "mask", "mirrored_garment"])
def test_a_damaged_file_is_refused_and_made_again(tmp_path, kind):
    dataset, recipe = TryonDataset(write_fittings(tmp_path)), RECIPES[0]
    build_cache(dataset, BASE, recipe, flips=True)
    (path,) = (tmp_path / "cache").glob(f"{kind}_*")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :])
    with pytest.raises(ValueError, match=f"{path.name} is damaged.*build_cache"):
        cached = CachedFittings(dataset, BASE, recipe, mirrored=True)
        [(cached[i], cached.read_mirrored(i)) for i in range(4)]
    build_cache(dataset, BASE, recipe, flips=True)
    assert path.read_bytes() == whole


def test_a_condition_that_no_cache_can_serve_is_named(folder, tmp_path):
    text = RECIPES[0].read_text().replace("key: agnostic", "key: densepose")
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match="the condition agnostic reads densepose, which no cache holds"):
        build_cache(TryonDataset(folder), BASE, tmp_path / "recipe.yaml")
    with pytest.raises(ValueError, match="a try-on recipe needs fittings"):
        build_cache(MyDataset(folder), BASE, RECIPES[0])
