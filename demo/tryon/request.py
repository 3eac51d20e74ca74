"""The values of the fitting room's inputs, and what they ask for: checked, or refused."""

import random
from dataclasses import dataclass, field, fields

import numpy as np

from cldm.controls import Control, check_number
from cldm.guidance import Guidance
from demo.photo import digest_of, read_photo
from demo.texts import file_names, join_prompts
from demo.tryon.mask_editor import mask_text, read_mask
from demo.tryon.offers import CATEGORIES, Offer
from demo.tryon.room import BODY, Framed, Room
from generation.fitting import FittingSettings
from generation.fitting_items import about
from pictures.painted_maps import read_map, resized

SAME_SHAPE = 0.03  # share by which the aspects of a silhouette and the pictures may differ
MAX_SEED = 2**32 - 1
MOST_PICTURES, MOST_FURTHER = 12, 12
ONE, LOOKBOOK, PEOPLE, IN_TURN = (
    "one garment",
    "each garment by itself",
    "on several people",
    "one garment after another",
)
WAYS = (ONE, LOOKBOOK, PEOPLE, IN_TURN)
# what stays outside the mask, in visitors' words -> of generation.fitting
OUTSIDE = {
    "the photo stays": "paste",
    "the photo stays, behind a soft edge": "blend",
    "the photo guides each step": "each_step",
    "drawn anew": "none",
    "as the model learned": None,
}


@dataclass
class Inputs:
    """The values in the order of the endpoint /fit.

    person, garment: files. mask: an image editor's value, its layers what is to be new; None: the mask is
    found. worn_mask: its like over the garment's photo, where somebody wears it. further_garments,
    further_people: names of what the page offers. silhouette: a region map's file, which the room's control
    follows; None: it does not act.
    """

    person: str | None = None
    garment: str | None = None
    category: str = "upper"
    mask: dict | None = None
    mask_way: str = BODY
    worn: bool = False
    worn_mask: dict | None = None
    way: str = ONE
    further_garments: list = field(default_factory=list)
    further_people: list = field(default_factory=list)
    prompt: str = ""
    num_samples: int = 1
    steps: int = 20
    guidance: float | None = None
    strength: float = 1.0
    outside: str = next(iter(OUTSIDE))
    sampler: str = "ddim"
    seed: int = -1
    preview: bool = True
    silhouette: str | None = None
    silhouette_strength: float = 1.0


@dataclass
class Chain:
    """A person who tries on garments one after another; `mask` bool (H, W) is of the first, None is found."""

    person: Framed
    garments: list[tuple[Offer, str]]  # each with its category
    mask: np.ndarray | None


@dataclass
class FitRequest:
    """What is to be drawn; `facts` go into each picture."""

    chains: list[Chain]
    way: str
    settings: FittingSettings
    num_samples: int
    seed: int
    prompt: str
    mask_way: str
    preview: bool
    controls: tuple[Control, ...]
    facts: dict

    @property
    def given(self) -> list[tuple[str, Offer]]:
        """What the request was given, each once, by the names of files."""
        found = {("person", chain.person.offer.digest): chain.person.offer for chain in self.chains}
        found |= {("garment", g.digest): g for chain in self.chains for g, _ in chain.garments}
        return [(kind, offer) for (kind, _), offer in found.items()]

    @property
    def turns(self) -> int:
        return sum(len(chain.garments) for chain in self.chains)


def read_request(inputs: Inputs, room: Room, known) -> FitRequest:
    """The FitRequest of a page's Inputs; ValueError says which of them is wrong, and the remedy.

    `known`: digest of a picture that was drawn for the visitor -> the Framed who is in it, or None.
    """
    for name in ("preview", "worn"):
        if not isinstance(getattr(inputs, name), bool):
            raise ValueError(f"{name} must be true or false, got {str(getattr(inputs, name))[:60]!r}")
    check_category(inputs.category)
    if inputs.way not in WAYS:
        raise ValueError(f"what is tried on is {', '.join(WAYS)}, got {str(inputs.way)[:60]!r}")
    settings, seed = settings_of(inputs, room)
    prompt = join_prompts("Words", inputs.prompt)
    person = find_person(inputs.person, room, known)
    mask = read_mask(inputs.mask, person.offer.pixels)
    garment = find_garment(inputs, room)
    chains = make_chains(inputs, room, person, garment, mask)
    controls, told = read_silhouette(inputs, room)
    page = {f.name: getattr(inputs, f.name) for f in fields(Inputs) if f.name not in NOT_KEPT}
    page["mask"] = None if mask is None else mask_text(mask)
    facts = dict(
        prompt=prompt,
        negative_prompt="",
        steps=settings.steps,
        sampler=settings.sampler,
        scale=inputs.guidance or room.guidance_scale or 0.0,
        guidance_rescale=0.0,
        eta=settings.eta,
        size=list(room.size),
        model=file_names(room.loaded.source),
        controls=told,
        photo=None,
        fitting=dict(
            checkpoint=dict(file=room.file, sha256=room.digest),
            inputs=page,
            guidance=(settings.guidance or room.loaded.model.guidance).describe(),
            repaint=settings.repaint or room.loaded.model.repaint,
            mask_style=room.style,
        ),
    )
    return FitRequest(
        chains=chains,
        way=inputs.way,
        settings=settings,
        num_samples=int(inputs.num_samples),
        seed=seed,
        prompt=prompt,
        mask_way=inputs.mask_way,
        preview=inputs.preview,
        controls=controls,
        facts=facts,
    )


NOT_KEPT = {"person", "garment", "mask", "worn_mask", "silhouette", "seed", "preview"}


def check_category(category) -> None:
    if category not in CATEGORIES:
        raise ValueError(f"a garment is {', '.join(CATEGORIES)}, got {str(category)[:60]!r}")


def settings_of(inputs: Inputs, room: Room) -> tuple[FittingSettings, int]:
    """(settings, seed) of Inputs; ValueError names the one that is out of its range."""
    for name, low, high in ("num_samples", 1, MOST_PICTURES), ("steps", 1, 100), ("seed", -1, MAX_SEED):
        value = getattr(inputs, name)
        check_number(name, value, low, high)
        if int(value) != value:
            raise ValueError(f"{name} must be a whole number, got {value!r}")
    if inputs.outside not in OUTSIDE:
        raise ValueError(f"outside the mask is {', '.join(OUTSIDE)}, got {str(inputs.outside)[:60]!r}")
    seed = random.randint(0, 65535) if inputs.seed == -1 else int(inputs.seed)
    if seed + inputs.num_samples - 1 > MAX_SEED:
        raise ValueError(f"seed {seed} is too large for {inputs.num_samples} pictures: they go to {MAX_SEED}")
    settings = FittingSettings(
        steps=int(inputs.steps),
        sampler=inputs.sampler,
        guidance=guidance_of(inputs.guidance, room),
        repaint=OUTSIDE[inputs.outside],
        strength=inputs.strength,
    )
    return settings, seed


def guidance_of(scale, room: Room) -> Guidance | None:
    """The model's guidance by another scale; None is its own."""
    if scale is None or room.guidance_scale is None or scale == room.guidance_scale:
        return None
    check_number("guidance", scale, 0, 30)
    return room.loaded.model.guidance.rescaled(scale)


def find_person(path, room: Room, known) -> Framed:
    """The person of a file: one that is offered, one that was drawn before, or somebody in a new photo."""
    if path is None:
        raise ValueError("There is no person yet: choose one, or add a photo.")
    pixels = read_photo(path, "person's photo")
    key = digest_of(pixels)
    found = known(key)
    if found is not None:
        return found
    with about("The person's photo"):
        return room.frame(room.offers.person(key) or Offer("your photo", pixels))


def find_garment(inputs: Inputs, room: Room) -> Offer:
    """The garment of the request: one that is offered, or that of a new picture."""
    if inputs.garment is None:
        raise ValueError("There is no garment yet: choose one, or add a picture of it.")
    pixels = read_photo(inputs.garment, "garment's picture")
    found = room.offers.garment(digest_of(pixels))
    if found is not None and not inputs.worn:
        return found
    offer = Offer("your garment", pixels, inputs.category)
    if not inputs.worn:
        return offer
    mask = read_mask(inputs.worn_mask, pixels)
    if mask is None:
        raise ValueError("Mark the garment on the person who wears it: paint over it with the brush.")
    return Offer("your garment", pixels, inputs.category, mask=mask, worn=True)


def read_silhouette(inputs: Inputs, room: Room) -> tuple[tuple[Control, ...], list[dict]]:
    """The control that draws the silhouette, and its facts; neither where no map is given.

    Raises:
        ValueError: there is no control here, or the map is none of its regions, or not of the photo's shape.
    """
    if inputs.silhouette is None:
        return (), []
    if room.branch is None:
        raise ValueError(
            "No control is loaded that could follow a silhouette: start the page with --control."
        )
    with about("The silhouette"):
        ids = read_map(inputs.silhouette, room.branch.encoder)
    (h, w), (height, width) = ids.shape, room.size
    if abs(h * width / (w * height) - 1) > SAME_SHAPE:
        raise ValueError(
            f"The silhouette is {w} x {h}, pictures are {width} x {height} pixels: not of one shape."
        )
    ids = resized(ids, room.size)
    hint, strength = room.branch.encoder.to_hint(ids), inputs.silhouette_strength
    control = Control(hint=hint, branch=room.branch.network, strength=strength)
    told = dict(file=room.branch_file, start=control.start, end=control.end, strength=strength)
    return (control,), [told | dict(guess_mode=False, map_sha256=digest_of(ids))]


def make_chains(inputs: Inputs, room: Room, person, garment, mask) -> list[Chain]:
    """Who tries on what, in the way that is asked for."""
    first = garment, inputs.category
    if inputs.way == ONE:
        return [Chain(person, [first], mask)]
    if inputs.way == PEOPLE:
        people = [room.frame(offer) for offer in choose(inputs.further_people, room.offers.people, "people")]
        return [Chain(person, [first], mask), *(Chain(other, [first], None) for other in people)]
    further = choose(inputs.further_garments, room.offers.clothes, "garments")
    garments = [first, *((offer, offer.category) for offer in further)]
    if inputs.way == IN_TURN:
        return [Chain(person, garments, mask)]
    return [
        Chain(person, [(offer, category)], mask if category == inputs.category else None)
        for offer, category in garments
    ]


def choose(names, offers: list[Offer], kind: str) -> list[Offer]:
    """Offers by their names; ValueError where there are none, too many, or one has another name."""
    if not isinstance(names, list) or not names:
        raise ValueError(f"No further {kind} are chosen: choose some, or try on {ONE}.")
    if len(names) > MOST_FURTHER:
        raise ValueError(f"{len(names)} further {kind} are chosen, {MOST_FURTHER} at most are drawn at once.")
    known = {offer.name: offer for offer in offers}
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"There is no {str(name)[:60]!r} among the {kind}.")
    return [known[name] for name in dict.fromkeys(names)]
