"""The values of the page's inputs, and what they ask for: checked, in the model's terms, or refused."""

import random
from dataclasses import dataclass, field, fields, replace

from cldm.controls import Control, check_number
from demo.garments.canvas import choose_stored_map, fit_photo, palette_png
from demo.garments.map_over_photo import read_painted_ids
from demo.garments.model import Demo
from demo.photo import digest_of, read_photo
from demo.texts import file_name, file_names, join_prompts
from generation.generate import Settings
from generation.inpainting import Photo, region_mask
from pictures.painted_maps import resized, working_map

MAX_SEED = 2**32 - 1  # AUTOMATIC1111's
OF_A_PHOTO = "denoise", "repaint", "grow", "feather"
NO, START, REPAINT = "not at all", "to start from", "to repaint regions of"


@dataclass
class Inputs:
    """The values in the order of the endpoint /process: the original demo's inputs first, then ours.

    input_image: an image editor's value. photo: a file. further: a map's file, or None, and a strength for
    each further control.
    """

    input_image: dict | None = None
    prompt: str = ""
    a_prompt: str = ""
    n_prompt: str = ""
    num_samples: int = 1
    image_resolution: int = 512
    ddim_steps: int = 20
    guess_mode: bool = False
    strength: float = 1.0
    scale: float = 9.0
    seed: int = -1
    eta: float = 0.0
    sampler: str = "ddim"
    control_start: float = 0.0
    control_end: float = 1.0
    photo: str | None = None
    photo_use: str = NO
    denoise: float = 0.75
    repaint: list = field(default_factory=list)
    grow: int = 0
    feather: int = 0
    compare: bool = False
    preview: bool = False
    model: str | None = None
    further: list = field(default_factory=list)


@dataclass
class PageRequest:
    """What is to be drawn: `ids` uint8 (H, W) under the first of `controls`, and the facts for metadata.

    map_png: what goes into the pictures, to be painted on again.
    """

    ids: object
    settings: Settings
    controls: list[Control]
    photo: Photo | None
    compare: bool
    preview: bool
    facts: dict
    map_png: bytes


def read_request(inputs: Inputs, demo: Demo) -> PageRequest:
    """The PageRequest of a page's Inputs; ValueError says which of them is wrong, and the remedy."""
    for name in ("compare", "preview"):
        if not isinstance(getattr(inputs, name), bool):
            raise ValueError(f"{name} must be true or false, got {str(getattr(inputs, name))[:60]!r}")
    check_number("image_resolution", inputs.image_resolution, 64, 2048)
    painted = read_painted_ids(inputs.input_image, demo.encoder)
    ids = working_map(painted, int(inputs.image_resolution))
    settings = settings_of(inputs)
    own = control_of(inputs, demo.encoder.to_hint(ids))
    further, told = _further(inputs, demo, ids.shape)
    photo, start = _photo(inputs, demo, painted.shape, ids)
    first = dict(
        file=file_name(demo.file), sha256=demo.digest, start=own.start, end=own.end, strength=own.strength
    )
    first |= dict(guess_mode=own.guess_mode, map_sha256=digest_of(ids))
    names = "prompt", "negative_prompt", "steps", "sampler", "scale", "guidance_rescale", "eta"
    facts = {name: getattr(settings, name) for name in names}
    facts |= dict(size=list(ids.shape), model=file_names(demo.source), controls=[first, *told], photo=start)
    facts |= dict(page=_page(inputs, demo, first))
    map_png = palette_png(choose_stored_map(painted, ids, int(inputs.image_resolution)), demo.encoder)
    return PageRequest(
        ids=ids,
        settings=settings,
        controls=[own, *further],
        photo=photo,
        compare=inputs.compare,
        preview=inputs.preview,
        facts=facts,
        map_png=map_png,
    )


def _page(inputs, demo, first):
    """What the page needs besides the other facts to be set as it was, except seeds, which differ."""
    left = {"input_image", "photo", "further", "model", "seed"} | {
        *(OF_A_PHOTO if inputs.photo_use == NO else ())
    }
    values = {f.name: getattr(inputs, f.name) for f in fields(Inputs) if f.name not in left}
    further = [
        dict(file=file_name(steering.file.path), sha256=steering.digest, factor=factor, has_map=bool(path))
        for steering, path, factor in zip(
            demo.further, inputs.further[::2], inputs.further[1::2], strict=False
        )
    ]
    checkpoint = dict(file=first["file"], sha256=first["sha256"])
    return dict(inputs=values, checkpoint=checkpoint, map_sha256=first["map_sha256"], further=further)


def settings_of(inputs: Inputs) -> Settings:
    """What Inputs say besides maps and photo; ValueError names the one that is out of its range."""
    seed = inputs.seed
    settings = Settings(
        prompt=join_prompts("Prompt", inputs.prompt, inputs.a_prompt),
        negative_prompt=join_prompts("Negative prompt", inputs.n_prompt),
        num_samples=inputs.num_samples,
        steps=inputs.ddim_steps,
        sampler=inputs.sampler,
        scale=inputs.scale,
        eta=inputs.eta,
        seed=random.randint(0, 65535) if seed in (None, -1) else seed,
    )
    if settings.seed + settings.num_samples - 1 > MAX_SEED:
        raise ValueError(f"seed {seed} is too large for {inputs.num_samples} pictures: they go to {MAX_SEED}")
    return settings


def control_of(inputs: Inputs, hint) -> Control:
    """The map's control as Inputs have it act; ValueError names the one that is out of its range."""
    return Control(
        hint=hint,
        strength=inputs.strength,
        start=inputs.control_start,
        end=inputs.control_end,
        guess_mode=inputs.guess_mode,
    )


def _further(inputs, demo, size):
    """(Controls, their facts) of the further controls that were given a map."""
    controls, facts = [], []
    pairs = zip(inputs.further[::2], inputs.further[1::2], strict=True)
    for steering, (path, factor) in zip(demo.further, pairs, strict=True):
        if path is None:
            continue
        check_number("Strength of the further control", factor, 0, 2)
        try:
            picture = steering.read(path)
        except ValueError as error:
            name = file_name(steering.file.path)
            raise ValueError(f"The map of {name}: {_without(error, path)}") from error
        control = steering.control(resized(picture, size))
        own = control.strength
        strength = own * factor if isinstance(own, int | float) else [value * factor for value in own]
        controls.append(replace(control, strength=strength))
        facts.append(
            steering.facts()
            | dict(file=file_name(steering.file.path), strength=strength, map_sha256=digest_of(picture))
        )
    return controls, facts


def _photo(inputs, demo, painted_shape, ids):
    """(Photo, its facts), or two Nones where the picture starts from noise."""
    if inputs.photo_use == NO:
        return None, None
    if inputs.photo_use not in (START, REPAINT):
        raise ValueError(f"a photo is used {NO}, {START} or {REPAINT}, got {inputs.photo_use!r}")
    if inputs.photo is None:
        raise ValueError("There is no photo to start from: add one, or choose to use it not at all.")
    pixels = fit_photo(read_photo(inputs.photo), painted_shape, ids.shape)
    check_number("Grow", inputs.grow, 0, 512)
    regions = ",".join(inputs.repaint or []) if inputs.photo_use == REPAINT else ""
    if inputs.photo_use == REPAINT and not regions:
        raise ValueError("No region is chosen to be repainted: tick at least one.")
    mask = region_mask(ids, demo.encoder, regions, int(inputs.grow)) if regions else None
    feather = inputs.feather if regions else 0
    start = Photo(pixels=pixels, denoise=inputs.denoise, mask=mask, feather=feather)
    told = dict(denoise=inputs.denoise, inpaint=regions, grow=inputs.grow if regions else 0, feather=feather)
    return start, dict(file="photo", sha256=digest_of(pixels)) | told


def _without(error, path) -> str:
    """What an error says, without the server's own path of the file."""
    return str(error).replace(str(path), "it")
