"""The page set as it was when a picture was made: each value checked as a request's, the rest named."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from cldm.controls import check_number
from demo.garments.canvas import fit_photo
from demo.garments.loading import Models
from demo.garments.page_request import MAX_SEED, OF_A_PHOTO, Inputs, control_of, settings_of
from demo.garments.picture_settings import Found, read_picture_settings, stored_map
from demo.photo import digest_of, read_photo
from demo.picture_texts import check_value
from demo.texts import file_name, file_names, shorten
from pictures.painted_maps import resized, working_size

# a page of another model has others, so that they say nothing about a file's soundness
OF_A_MODEL = "image_resolution", "repaint", "sampler"
SETTINGS = [f.name for f in fields(Inputs) if f.name not in ("input_image", "photo", "further", "model")]


@dataclass
class RestoredSettings:
    """`values` by the names of Inputs, further strengths as further_strength_1 and so on; `ids` None: no map.

    missing: what the picture was made with and the page does not have now, in words.
    """

    values: dict
    ids: np.ndarray | None
    missing: list[str] = field(default_factory=list)


def restore_settings(path, components: dict, models: Models, photo=None) -> RestoredSettings:
    """What can be had of a picture's settings.

    Args:
        components: the page's inputs by the names of SETTINGS, and further_strength_1 and so on; each checks
            its value as it does a request's.
        photo: file of the photo that is on the page now.

    Raises:
        ValueError: the file says nothing, or is damaged; or the page wrote it and a value cannot be one.
    """
    found = read_picture_settings(path)
    result = RestoredSettings(values={}, ids=None, missing=[*found.missing])
    for name, value in found.values.items():
        _take(result, found, components, name, value)
    if (beyond := result.values.get("seed", 0) + result.values.get("num_samples", 1) - 1 - MAX_SEED) > 0:
        result.values["num_samples"] -= beyond  # the last of a request with the largest seeds
    _check_together(result.values)
    if found.map_png is not None:
        result.ids = _map(result, found, models.encoder)
    _note_checkpoint(result, found, models)
    _note_base(result, found, models)
    _take_further(result, found, components, models)
    if found.photo_digest is not None and not _is_the_photo(found, photo, result):
        result.missing.append("the photo, which is not in the picture: add it under Photo")
    return result


def _take(result, found, components, name, value):
    if name not in SETTINGS:
        result.missing.append(f"{shorten(name)}, which is no setting of this page")
        return
    try:
        result.values[name] = check_value(components[name], value)
    except ValueError as error:
        if found.strict and name not in OF_A_MODEL:
            raise ValueError(f"The picture's settings are damaged. {error}") from error
        result.missing.append(f"{str(error)[0].lower()}{str(error)[1:].rstrip('.')}")


def _check_together(values):
    inputs = Inputs(**{name: value for name, value in values.items() if name not in OF_A_PHOTO})
    try:
        settings_of(inputs)
        control_of(inputs, np.zeros((64, 64, 3)))
    except ValueError as error:
        raise ValueError(f"The picture's settings are damaged. {error}") from error


def _map(result, found: Found, encoder):
    """The stored map, which must be the one that the picture was made from; None for other regions."""
    try:
        ids = stored_map(found, encoder)
    except ValueError as error:
        if "off the palette" not in str(error):
            raise
        result.missing.append("the map, which has other regions or colours than this page's")
        return None
    resolution = found.values.get("image_resolution")
    check_number("image_resolution", resolution, 64, 2048)
    if digest_of(resized(ids, working_size(ids.shape, int(resolution)))) != found.map_digest:
        raise ValueError("The map in the picture is not the one that it was made from: the file was changed.")
    return ids


def _note_checkpoint(result, found, models):
    if found.checkpoint is None:
        return
    name, digest = found.checkpoint
    told = f"the checkpoint {shorten(name)} (SHA-256 {shorten(digest)})"
    if name not in models.files:
        result.missing.append(f"{told}: this page has {', '.join(models.files)}")
        return
    result.values["model"] = name
    if (known := models.digests.get(name, digest)) != digest:
        result.missing.append(f"{told}: the file of this name here is another, {known}")


def _note_base(result, found, models):
    """What the U-Net is of; known of the model that is in memory alone."""
    demo = models.demo
    if found.base is None or demo is None or result.values.get("model", models.name) != models.name:
        return
    (name, digest), own = found.base, file_names(demo.source).split(" on ")[-1]
    if Path(name.split(" on ")[-1]).stem != Path(own).stem and name != Path(own).stem:
        told = f"{shorten(name)} (hash {shorten(digest)})" if digest else shorten(name)
        result.missing.append(f"the base {told}: this page draws with {own}")


def _take_further(result, found, components, models):
    """Strengths of further controls; their maps are not in the picture."""
    own = [file_name(steering.file.path) for steering in models.demo.further] if models.demo else []
    for control in found.further:
        name, factor = str(control.get("file")), control.get("factor")
        if control.get("has_map") is not True:
            continue
        if name not in own:
            told = f"{shorten(name)} (SHA-256 {shorten(control.get('sha256'))})"
            result.missing.append(f"the further control {told}: start the demo with it, by --control")
            continue
        key = f"further_strength_{own.index(name) + 1}"
        result.values[key] = check_value(components[key], factor)
        result.missing.append(f"the map of {shorten(name)}, which is not in the picture: add it")


def _is_the_photo(found, photo, result):
    """Whether the page has the photo already that the picture was made from."""
    if photo is None or result.ids is None:
        return False
    size = working_size(result.ids.shape, int(result.values.get("image_resolution", 64)))
    try:
        return digest_of(fit_photo(read_photo(photo), result.ids.shape, size)) == found.photo_digest
    except ValueError:
        return False
