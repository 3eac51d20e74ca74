"""A picture that is dropped on the fitting room sets it as it was when the picture was made."""

from dataclasses import dataclass, field
from html import escape

import gradio as gr

from demo.errors import Refused, as_refused, show_errors
from demo.history import PRIVATE
from demo.picture_texts import SAYS_NOTHING, check_value, parse_facts, read_texts, typed
from demo.texts import file_name, shorten
from demo.tryon.mask_editor import read_mask_text
from demo.tryon.page_person import Kept, write_offer
from demo.tryon.request import NOT_KEPT
from generation.picture_text import KEY


@dataclass
class Restored:
    """`values` by the names of Inputs; `person` and `garment` are offers, None where the page has not them.

    mask: as text, None where it was found. missing: what the page does not have now, in words.
    """

    values: dict
    person: object = None
    garment: object = None
    mask: str | None = None
    missing: list[str] = field(default_factory=list)


def settings_panel():
    """(where a picture is dropped whose settings are wanted, what became of them)."""
    label = "Take over the settings of a picture"
    picture = gr.File(label=label, file_types=["image"], height=130, elem_id="take_over")
    return picture, gr.HTML(elem_id="taken")


def restore_settings(path, components: dict, room) -> Restored:
    """What can be had of a picture's settings; `components` are the page's inputs by the names of Inputs.

    Raises:
        ValueError: the file says nothing, or is damaged.
    """
    texts = read_texts(path)
    facts = parse_facts(texts[KEY]) if KEY in texts else {}
    if "fitting" not in facts:
        raise ValueError(SAYS_NOTHING if not facts else "The picture was made on another page than this one.")
    fitting = typed(facts, "fitting", dict)
    inputs, result = typed(fitting, "inputs", dict), Restored({})
    for name, value in (inputs | dict(seed=facts.get("seed"), num_samples=1)).items():
        if name == "mask" or (name == "guidance" and value is None):
            continue
        if name not in components or (name in NOT_KEPT and name != "seed"):
            result.missing.append(f"{shorten(name)}, which is no setting of this page")
            continue
        try:
            result.values[name] = check_value(components[name], value)
        except ValueError as error:
            raise ValueError(f"The picture's settings are damaged. {error}") from error
    if inputs.get("mask") is not None:
        read_mask_text(inputs["mask"], room.size)
        result.mask = inputs["mask"]
    find = dict(person=room.offers.person, garment=room.offers.garment)
    for kind, by_digest in find.items():
        told = typed(fitting, kind, dict)
        setattr(result, kind, by_digest(str(told.get("sha256"))))
        if getattr(result, kind) is None:
            result.missing.append(f"the {kind}, {shorten(told.get('name'))}: choose it, or add its picture")
    if facts.get("controls"):
        result.missing.append("the silhouette, which is in no picture: add its map")
    checkpoint = typed(fitting, "checkpoint", dict)
    if checkpoint.get("sha256") != room.digest:
        name = shorten(file_name(str(checkpoint.get("file"))))
        result.missing.append(f"the checkpoint {name}: this page draws with {room.file}, which is another")
    return result


def as_html(found: Restored) -> str:
    """What was taken over and what was not; of a stranger's file, nothing is markup."""
    seed = f", seed {found.values['seed']} among them" if "seed" in found.values else ""
    lines = [f"<p>Taken over: {len(found.values)} settings{seed}.</p>"]
    if found.missing:
        lines.append("<p>Not taken over:</p><ul>")
        lines += [f"<li>{escape(said)}</li>" for said in found.missing]
        lines.append("</ul>")
    return "".join(lines)


def connect_settings(desk, inputs: dict, person, garment, picture, told) -> None:
    """Dropping a picture sets the page's inputs, and person and garment where the page offers them."""
    components = {name: part for name, part in inputs.items() if name not in NOT_KEPT or name == "seed"}
    room = desk.room

    def take_over(request: gr.Request, path):
        try:
            found = restore_settings(path, components, room)
        except Exception as error:
            if not isinstance(refused := as_refused(error), Refused):
                raise
            said = f"<p>Nothing was taken over. {escape(refused.message)}</p>"
            return *[gr.skip()] * (len(components) + 3), said, None
        values = [found.values.get(name, gr.skip()) for name in components]
        photos = [
            gr.skip() if offer is None else write_offer(desk, request, offer)
            for offer in (found.person, found.garment)
        ]
        kept = None
        if found.person and found.mask:
            kept = Kept(found.person.digest, found.values.get("category"), found.mask)
        return *values, *photos, kept, as_html(found), None

    def settings_of(path):
        if path is None:
            raise ValueError("There is no picture: give one whose settings are wanted.")
        found = restore_settings(path, components, room)
        names = {kind: getattr(found, kind) and getattr(found, kind).name for kind in ("person", "garment")}
        return dict(inputs=found.values, missing=found.missing, **names)

    outputs = [*components.values(), person.photo, garment.photo, person.kept, told, picture]
    picture.upload(take_over, picture, outputs, **PRIVATE)
    gr.Button(visible=False).click(
        show_errors(settings_of), picture, gr.JSON(visible=False), api_name="settings_of"
    )
