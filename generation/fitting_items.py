"""Photos of a person and of a garment become an item of a TryonDataset, made as preparation makes its files.

loaded = load_tryon("runs/tryon/tryon.safetensors")
person = PersonPhoto("person.jpg", joints="person.json", labels=dict(atr="person_labels.png"))
pictures = dress(loaded, person, GarmentPhoto("shirt.jpg", "upper"), seeds=[0, 1])
"""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from annotator.agnostic import Person, Pose
from annotator.agnostic.photos import PersonFinder, PhotoMasker, is_nearest
from annotator.agnostic.rules import WITH_POSE, choose_style
from annotator.agnostic.style import read_styles
from annotator.openpose.pose import draw_joints
from batches.fitting_items import compose_item, number_category
from cldm.weights.load_tryon import LoadedTryon
from generation.fitting import FittingSettings, put_on
from generation.inpainting import region_mask
from pictures.regions import standard_regions
from pictures.unusable import Unusable
from preparation.fittings.inputs import (
    crop_photo,
    cut_out,
    open_any,
    read_bool,
    read_ids,
    read_joints,
    whole_of,
)
from preparation.fittings.one_fitting import choose_pose, crop_pose, draw_mask
from preparation.fittings.run import FittingOptions


@dataclass(frozen=True, eq=False)
class PersonPhoto:
    """A photo of a person and what is known of it; only the photo must be there, if the mask can be found.

    photo: a file, or uint8 (h, w, 3) in RGB. mask: what may be painted, a file or (h, w), white from 128 on,
    or bool; it goes before all rules. joints: a file of OpenPose's, DressCode's or a prepared folder's, or an
    array (18, 2 or more) of COCO-18 or (25, 2 or more) of BODY_25, in the photo's pixels. labels: label maps
    by their sets, cihp, atr or regions: files, or ids uint8 (h, w). regions: names of labels["regions"],
    "top,whole", which are the mask then, grown by `grow` pixels. prompt: None makes one of the garment's.
    """

    photo: Path | str | np.ndarray
    mask: Path | str | np.ndarray | None = None
    joints: Path | str | np.ndarray | None = None
    labels: Mapping[str, Path | str | np.ndarray] = field(default_factory=dict)
    regions: str = ""
    grow: int = 0
    prompt: str | None = None
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or name_of(self.photo, "the person")


@dataclass(frozen=True, eq=False)
class GarmentPhoto:
    """A garment's product picture; or a photo of somebody in it, from which it is cut out and put on white.

    photo: a file, or uint8 (h, w, 3) in RGB. category: of batches.fitting_items.CATEGORIES. mask: where the
    garment is, as a PersonPhoto's. worn: somebody wears it; then a mask is wanted, or `region_map`, a file or
    ids uint8 (h, w), and the names of its `regions` that are the garment.
    """

    photo: Path | str | np.ndarray
    category: str = "upper"
    mask: Path | str | np.ndarray | None = None
    worn: bool = False
    region_map: Path | str | np.ndarray | None = None
    regions: str = ""
    prompt: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or name_of(self.photo, "the garment")


def dress(
    loaded: LoadedTryon,
    person: PersonPhoto,
    garment: GarmentPhoto,
    seeds=(0,),
    settings: FittingSettings | None = None,
    size: tuple[int, int] | None = None,
    finder: PersonFinder | None = None,
) -> np.ndarray:
    """Pictures uint8 (n, H, W, 3) of a person in a garment, one a seed; see make_item."""
    item = make_item(loaded, person, garment, size, finder)
    return put_on(loaded.model, [item] * len(seeds), list(seeds), settings)


def make_item(
    loaded: LoadedTryon,
    person: PersonPhoto,
    garment: GarmentPhoto,
    size: tuple[int, int] | None = None,
    finder: PersonFinder | None = None,
) -> dict:
    """An item for generation.fitting.put_on.

    Photos are cut as preparation cuts them: the largest part of the size's shape, from the middle. The mask
    is the person's own, or is drawn at that size by the mask style that the checkpoint has learned.

    Args:
        size: (H, W); None takes the size that the checkpoint has learned, else its U-Net's own.
        finder: finds label maps and joints where none are given.

    Raises:
        FileNotFoundError, ValueError: something is missing or unusable; the message names it and the remedy.
    """
    size = choose_size(loaded, size)
    number = number_category(garment.category, garment.title)
    with about(person.title):
        parts = cut_person(person, garment.category, loaded, size, finder)
    with about(garment.title):
        parts |= cut_garment(garment, size, finder)
    words = garment.prompt.strip() or "a garment"
    prompt = FittingOptions.prompt.format(garment=words) if person.prompt is None else person.prompt
    item = compose_item(parts) | dict(
        txt=prompt,
        garment_txt=garment.prompt,
        category=garment.category,
        category_id=number,
        name=f"{person.title}__{garment.title}",
    )
    check_keys(loaded, item, person.title)
    return item


def check_keys(loaded: LoadedTryon, item: dict, title: str) -> None:
    """Raise ValueError where an item lacks what the recipe reads."""
    if missing := [key for _, key in loaded.model.wanted_keys() if key not in item]:
        remedy = "give joints" if missing[0] == "pose" else "draw from a training folder that has it"
        raise ValueError(f"there is no {missing[0]} of {title}, which {loaded.config} reads: {remedy}")


def choose_size(loaded: LoadedTryon, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """The size (H, W) to draw at; ValueError for one that the model can't draw, or has not learned."""
    multiple, native = loaded.model.size_multiple, 8 * loaded.model.image_size
    height, width = size = tuple(size or loaded.record.size or (native, native))
    if min(size) < multiple or height % multiple or width % multiple:
        raise ValueError(f"{loaded.source} draws multiples of {multiple}, got {height} x {width}")
    loaded.record.check_data([dict(size=size)])
    return size


def cut_person(person: PersonPhoto, category: str, loaded: LoadedTryon, size, finder=None) -> dict:
    """jpg, mask and, where joints are given or found, pose and mirrored_pose, as of compose_item."""
    photo, style = open_any(person.photo), loaded.record.mask_style
    shape = photo.height, photo.width
    crop = crop_photo(photo, size)
    pixels = photo.cut(crop)
    cut = np.ix_(*crop.sample_points())
    labels = {name: read_ids(ids, name, shape)[cut] for name, ids in person.labels.items()}
    pose, bodies = None, []
    if person.joints is not None:
        name = name_of(person.joints, "its pose")
        pose = choose_pose([crop_pose(read_joints(person.joints, shape[0]), shape[0], crop)], labels, name)
    elif finder is not None and wants_pose(person, loaded):
        bodies = finder.find_bodies(pixels)
        pose = Pose.read(bodies[0], "coco18", size[0]) if bodies else None
    if finder is not None and wants_labels(person):
        labels |= {name: ids for name, ids in finder.find_labels(pixels).items() if name not in labels}
    if person.mask is not None:
        mask = check_mask(read_bool(person.mask, shape, "the person")[cut])
    elif person.regions:
        if "regions" not in labels:
            raise Unusable(f"there is no region map with {person.regions}: give one, or a mask")
        mask = check_mask(region_mask(labels["regions"], standard_regions(), person.regions, person.grow))
    else:
        check_known_of(style, category, labels, pose)
        if not person.labels:
            PhotoMasker(finder.segmenter, finder.detector, style, category)  # says what can't be found
        mask = draw_mask(style, category, Person(labels, pose), size)
        if len(bodies) > 1:
            mask = check_mask(mask & is_nearest(bodies, size))
    parts = dict(jpg=pixels, mask=mask[..., None])
    if pose is not None:
        points = {name: (round(x, 2), round(y, 2)) for name, (x, y) in pose.points.items()}
        parts["pose"] = draw_joints(points, *size)
        parts["mirrored_pose"] = draw_joints(points, *size, mirrored=True)
    return parts


def wants_labels(person: PersonPhoto) -> bool:
    """Whether a label map is to be found, for lack of one that gives the mask."""
    given = person.mask is not None or ("regions" in person.labels if person.regions else person.labels)
    return not given


def wants_pose(person: PersonPhoto, loaded: LoadedTryon) -> bool:
    """Whether joints are to be found, which the recipe reads or the rule of the mask."""
    if person.joints is not None:
        return False
    style = read_styles().get(loaded.record.mask_style)
    by_rule = person.mask is None and not person.regions and style is not None and style.rule != "regions"
    return by_rule or reads_pose(loaded)


def reads_pose(loaded: LoadedTryon) -> bool:
    """Whether the recipe reads drawn joints."""
    return "pose" in [key for _, key in loaded.model.wanted_keys()]


def check_known_of(style: str | None, category: str, labels: dict, pose: Pose | None) -> None:
    """Raise Unusable where something lacks that a mask style reads."""
    if style is None:
        raise Unusable("the checkpoint does not say by which mask style it learned: give a mask")
    rule = choose_style(style, category).rule
    if rule in WITH_POSE and pose is None:
        raise Unusable(f"there is no pose, which mask style {style} reads: give joints or a mask")
    if not labels:
        raise Unusable(f"there is no label map, which mask style {style} reads: give labels or a mask")


def cut_garment(garment: GarmentPhoto, size, finder=None) -> dict:
    """garment and garment_mask, as of compose_item."""
    photo = open_any(garment.photo)
    shape = photo.height, photo.width
    mask = None
    if garment.regions:
        if garment.region_map is not None:
            ids = read_ids(garment.region_map, "regions", shape)
        elif finder is not None:
            ids = finder.find_labels(photo.cut(whole_of(photo)))["regions"]
        else:
            raise Unusable(f"there is no region map with {garment.regions}: give one, or a mask")
        mask = region_mask(ids, standard_regions(), garment.regions)
    elif garment.mask is not None:
        mask = read_bool(garment.mask, shape, "the garment")
    if garment.worn and mask is None:
        raise Unusable(
            "somebody wears it: give a mask of the garment, or a region map and its regions that are it"
        )
    if garment.worn:
        photo, mask = cut_out(photo, mask, size)
    crop = crop_photo(photo, size)
    covered = np.ones(size, bool) if mask is None else mask[np.ix_(*crop.sample_points())]
    if not covered.any():
        raise Unusable("the garment's mask is empty")
    return dict(garment=np.array(photo.cut(crop)), garment_mask=covered[..., None])


def check_mask(mask) -> np.ndarray:
    if not mask.any() or mask.all():
        raise Unusable(f"the mask covers {'all' if mask.any() else 'nothing'} of what is shown of it")
    return mask


def name_of(source, otherwise: str) -> str:
    """What messages call a photo: its file's name."""
    return otherwise if isinstance(source, np.ndarray) else Path(source).name


@contextmanager
def about(title: str):
    """Have a ValueError that is raised in here begin with whom it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from error
