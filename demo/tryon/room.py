"""A try-on model that is ready to draw, and what is found of a person: pose, parts, mask."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from annotator.agnostic import Person, Pose
from annotator.agnostic.person import JOINTS
from annotator.agnostic.photos import PersonFinder, is_nearest
from cldm.weights.load import newest_checkpoint
from cldm.weights.load_tryon import LoadedTryon, load_tryon
from demo.texts import file_names
from demo.tryon.offers import CATEGORIES, Offer, Offers
from generation.branches import Branch, load_branch
from generation.control_files import digest
from generation.fitting_items import GarmentPhoto, PersonPhoto, check_known_of, choose_size, make_item
from generation.inpainting import region_mask
from jobs.yaml_files import read_yaml
from learning.options import OPTIONS
from pictures.pairs import read_items
from pictures.regions import standard_regions
from preparation.fittings.inputs import Pixels, crop_photo, read_bool, read_ids, read_joints
from preparation.fittings.one_fitting import crop_pose, draw_mask, to_regions

NO_CHECKPOINT = (
    "there is no try-on checkpoint in runs/: train one with `make tryon`, or name one by --checkpoint FILE"
)
BODY, WORN = "around the body", "along what is worn"
# what of a region map a garment of each category takes the place of
REPLACED = dict(upper="top,whole", lower="bottom,whole", dress="top,bottom,whole")
USUAL_STYLE = "body_part"
UNKNOWN = "In this photo, nothing is known of the body."


def find_checkpoint(path: Path | None) -> Path:
    """The checkpoint of a path, else the newest try-on result in runs/; FileNotFoundError where none is."""
    found = path or newest_checkpoint(names=("tryon", "full_step_*"))
    if found is None:
        raise FileNotFoundError(NO_CHECKPOINT)
    if not Path(found).is_file():
        raise FileNotFoundError(f"{found} is missing: name a try-on checkpoint by --checkpoint FILE")
    return Path(found)


def data_of(checkpoint: Path) -> Path | None:
    """The prepared folder that a run has learned from, None where that is not known or not there."""
    options = checkpoint.parent / OPTIONS
    folder = Path(str(read_yaml(options).get("data", ""))) if options.is_file() else Path()
    return folder if (folder / "prompt.json").is_file() else None


def load_room(checkpoint: Path, offers_of, finder, device, control=None, **options) -> "Room":
    """A Room of a checkpoint.

    Args:
        offers_of: size (H, W) -> Offers.
        finder: a PersonFinder, whose detector may be None, or None.
        control: a control branch of the same base, trained on region maps.
        options: config and base of load_tryon.
    """
    loaded = load_tryon(checkpoint, device=device, **options)
    size, data = choose_size(loaded), data_of(checkpoint)
    learned = {line.get("category", "upper") for line in read_items(data)[1]} if data else set()
    told = dict(file=checkpoint.name, digest=digest(checkpoint), learned=tuple(sorted(learned)))
    if control is not None:
        branch = load_branch(control, loaded)
        if branch.encoder is None:
            raise ValueError(
                f"{control} does not say what its maps' colours mean: --control takes one that does"
            )
        told |= dict(branch=branch, branch_file=Path(control).name)
    return Room(loaded=loaded, size=size, offers=offers_of(size), finder=finder, **told)


@dataclass(frozen=True, eq=False)
class Framed:
    """A person at the model's size: an Offer whose joints are (18, 2) or None, and whose labels are arrays.

    bodies: joints of all people that were found in the photo, the one that is dressed first.
    """

    offer: Offer
    bodies: tuple = ()

    @property
    def pose(self) -> Pose | None:
        joints = self.offer.joints
        return None if joints is None else Pose.read(joints, "coco18", self.offer.pixels.shape[0])

    @cached_property
    def regions(self):
        """Region ids uint8 (H, W) of what is worn; None where nothing is known of it."""
        for name, ids in self.offer.labels.items():
            return ids if name == "regions" else to_regions(ids, name)
        return None


@dataclass(frozen=True, eq=False)
class Room:
    """A model, the size (H, W) that it draws, what there is to choose from, and who finds people in photos.

    learned: categories of garments in its training data, () where these are not known. branch: of a
    control that draws silhouettes by region maps, and its file's name.
    """

    loaded: LoadedTryon
    size: tuple[int, int]
    offers: Offers
    file: str
    digest: str
    finder: PersonFinder | None = None
    branch: Branch | None = None
    branch_file: str = ""
    learned: tuple[str, ...] = ()

    @property
    def style(self) -> str:
        return self.loaded.record.mask_style or USUAL_STYLE

    @property
    def finds_poses(self) -> bool:
        return self.finder is not None and self.finder.detector is not None

    @property
    def guidance_scale(self) -> float | None:
        """The scale of the model's own guidance, None where it has not one."""
        try:
            self.loaded.model.guidance.rescaled(1.0)
        except ValueError:
            return None
        return next(term.weight for term in self.loaded.model.guidance.terms if not term.dropped)

    @property
    def categories(self) -> list[str]:
        """Those of the garments that are offered, in the usual order."""
        return [name for name in CATEGORIES if any(offer.category == name for offer in self.offers.clothes)]

    def name(self) -> str:
        """Which files the model is of, by their names alone."""
        return f"Model: {file_names(self.loaded.source)}, pictures of {self.size[1]} x {self.size[0]} pixels."

    def frame(self, offer: Offer) -> Framed:
        """A person at the model's size, with all that is known or can be found of them.

        Raises:
            ValueError: the photo is too small, or what is said of it does not fit.
        """
        photo = Pixels(offer.pixels)
        crop, shape = crop_photo(photo, self.size), offer.pixels.shape[:2]
        pixels, cut = np.array(photo.cut(crop)), np.ix_(*crop.sample_points())
        labels = {name: read_ids(ids, name, shape)[cut] for name, ids in offer.labels.items()}
        mask = None if offer.mask is None else read_bool(offer.mask, shape, "the person")[cut]
        joints, bodies = None, ()
        if offer.joints is not None:
            points = crop_pose(read_joints(offer.joints, shape[0]), shape[0], crop).points
            joints = np.zeros((18, 2))
            for name, place in JOINTS["coco18"].items():
                joints[place] = points[name]
        elif self.finder is not None:
            bodies = tuple(self.finder.find_bodies(pixels))
            joints = bodies[0] if bodies else None
        if not labels and self.finder is not None:
            labels = self.finder.find_labels(pixels)
        return Framed(replace(offer, pixels=pixels, joints=joints, labels=labels, mask=mask), bodies)

    def find_mask(self, person: Framed, category: str, way: str = BODY) -> np.ndarray:
        """What may be painted of a person in a garment of a category, bool (H, W).

        Raises:
            ValueError: it cannot be told, in plain words; the brush is the remedy.
        """
        if way not in (BODY, WORN):
            raise ValueError(f"the mask is {BODY} or {WORN}, got {str(way)[:60]!r}")
        if way == WORN:
            return self._along_what_is_worn(person, category)
        if person.offer.mask is not None and category == person.offer.category:
            return person.offer.mask  # a folder's own, which somebody may have corrected
        try:
            labels = {name: ids for name, ids in person.offer.labels.items() if ids.any()}
            check_known_of(self.style, category, labels, person.pose)
            mask = draw_mask(self.style, category, Person(labels, person.pose), self.size)
        except ValueError as error:
            raise ValueError(f"{self._nobody(person)} Paint with the brush what is to be new.") from error
        return mask & is_nearest(person.bodies, self.size) if len(person.bodies) > 1 else mask

    def _along_what_is_worn(self, person, category):
        ids = person.regions
        if ids is None or not ids.any():
            raise ValueError(f"{self._nobody(person)} Paint with the brush what is to be new.")
        encoder = standard_regions()
        there = [name for name in REPLACED[category].split(",") if (ids == encoder.names.index(name)).any()]
        if not there:
            raise ValueError(
                f"Nobody wears a garment of the kind {category} in this photo. Paint with the brush what is "
                "to be new."
            )
        return region_mask(ids, encoder, ",".join(there), grow=max(1, self.size[0] // 42))

    def _nobody(self, person) -> str:
        """Why there is no mask of a person."""
        if person.pose is None and self.finds_poses:
            return "No person was found in this photo."
        if person.pose is None:
            return UNKNOWN
        return "Too little of the body is in sight for a garment of this kind."

    def make_item(self, person: Framed, garment: Offer, category: str, mask, prompt="") -> dict:
        """What put_on draws: a person in a garment, painted where `mask`, bool (H, W), is."""
        offer, words = person.offer, garment.prompt
        photo = PersonPhoto(
            offer.pixels, mask=mask, joints=offer.joints, prompt=prompt or None, name=offer.name
        )
        picture = GarmentPhoto(
            garment.pixels, category, mask=garment.mask, worn=garment.worn, prompt=words, name=garment.name
        )
        return make_item(self.loaded, photo, picture, self.size)


def wearing(person: Framed, picture: np.ndarray, name: str) -> Framed:
    """A person as drawn, uint8 (H, W, 3), in whom the next garment is tried on: the pose is the same.

    What the parts are where it was painted is what they were before.
    """
    return replace(person, offer=replace(person.offer, pixels=picture, name=name, line=None))
