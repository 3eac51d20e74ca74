"""Which contents a cache has: what a control, or the conditions of a try-on recipe, read of a folder."""

from pathlib import Path

from batches.cache.contents import AgnosticPersons, Content, Features, Masks, Photos, Poses, Texts
from batches.cache.encoders import Encoders
from cldm.tryon.conditions import ImageTokens, TextCondition
from pictures.decoding import read_size

SIDES, SIDES_OF_FITTINGS = 64, 32  # what sides must be multiples of
# batch key: (class, what messages call its rows, keys of the files in a person's or in a garment's line)
PICTURES = dict(
    jpg=(Photos, "persons", ("target",)),
    agnostic=(AgnosticPersons, "agnostic persons", ("target", "mask")),
    pose=(Poses, "poses", ("target", "pose")),
    garment=(Photos, "garments", ("garment",)),
    mask=(Masks, "masks", ("mask",)),
)
OTHER_KEYS = "garment_pixels", "txt", "category_id"


def choose_contents(dataset, encoders: Encoders, flips: bool, prompts=True) -> list[Content]:
    """What training reads of a folder; `flips`: of mirrored pictures as well, `prompts`: a control's texts.

    Raises:
        FileNotFoundError, ValueError: pictures are missing or have other sides than they may, or a condition
            reads what can't be encoded before.
    """
    choose = choose_for_fittings if encoders.conditions else choose_for_control
    contents = choose(dataset, encoders, flips)
    return [content for content in contents if prompts or content.kind != "text"]


def choose_for_control(dataset, encoders, flips):
    weights, lines = encoders.weights, dataset.data
    sizes = measure_sizes(Path(dataset.folder), {line["target"]: line.get("size") for line in lines}, SIDES)
    files = {name: (name,) for name in sizes}
    contents = [collect_texts([line["prompt"] for line in lines], weights)]
    contents.append(Photos("moments", "pictures", "first_stage_model", weights, files, sizes))
    if flips:
        what = "mirrored", "mirror images of pictures", "first_stage_model"
        contents.append(Photos(*what, weights, files, sizes, mirrored=True))
    return contents


def choose_for_fittings(dataset, encoders, flips):
    check_conditions(encoders)
    if not hasattr(dataset, "pairs"):
        raise ValueError(f"{dataset.folder} is read as maps and pictures: a try-on recipe needs fittings")
    check_files(dataset, list_pictures(encoders))
    said = {}
    for person, worn in dataset.pairs:
        said |= {person[key]: person.get("size") for key in ("target", "mask")} | {worn["garment"]: None}
    sizes = measure_sizes(Path(dataset.folder), said, SIDES_OF_FITTINGS)
    shared = list_shared_prompts(encoders).values()
    own = [person["prompt"] for person, _ in dataset.pairs if reads_text(encoders)]
    contents = [collect_texts(own, encoders.weights, shared)] if own or shared else []
    for mirrored in (False, True)[: 1 + flips]:
        for key in list_pictures(encoders):
            contents.append(collect_pictures(key, dataset.pairs, sizes, encoders.weights, mirrored))
        for name in list_features(encoders):
            contents.append(collect_features(name, dataset.pairs, sizes, encoders, mirrored))
    return contents


def check_conditions(encoders: Encoders) -> None:
    """Raise ValueError where a recipe reads what no cache holds."""
    for name, condition in encoders.conditions.items():
        if unknown := [key for key in condition.keys if key not in (*PICTURES, *OTHER_KEYS)]:
            raise ValueError(f"the condition {name} reads {unknown[0]}, which no cache holds: train without")
    if encoders.flow_weight:
        raise ValueError("flow_weight reads the pictures of every step, which no cache holds: train without")


def check_files(dataset, keys) -> None:
    """Raise ValueError where a person's or a garment's line names no file of a key that is wanted."""
    for key in keys:
        for person, worn in dataset.pairs:
            line = worn if key == "garment" else person
            if lacking := [file for file in PICTURES[key][2] if file not in line]:
                raise ValueError(
                    f"{dataset.folder}: {line['name']} has no {lacking[0]}, which the recipe reads"
                )


def reads_text(encoders) -> bool:
    return any(isinstance(condition, TextCondition) for condition in encoders.conditions.values())


def list_pictures(encoders) -> list[str]:
    """Batch keys of the pictures and masks that are cached for a recipe, of PICTURES."""
    read = {"jpg", *(key for condition in encoders.conditions.values() for key in condition.keys)}
    return [key for key in PICTURES if key in read]


def list_features(encoders) -> list[str]:
    """Names of the conditions whose image encoder's features are cached."""
    return [name for name, c in encoders.conditions.items() if isinstance(c, ImageTokens)]


def list_shared_prompts(encoders) -> dict[str, str]:
    """By the names of conditions, the prompt that every row of a batch has."""
    prompts = {name: getattr(c, "prompt", None) for name, c in encoders.conditions.items()}
    return {name: prompt for name, prompt in prompts.items() if prompt is not None}


def name_rows(encoders, pairs, sizes, mirrored=False) -> dict[str, tuple[str, list[str]]]:
    """Item's key -> (kind, name of each pair's row): what conditions look for in a batch.

    `sizes`: of the garments. Mirrored items have rows of their own for pictures alone.
    """
    rows, garments = {}, [worn["garment"] for _, worn in pairs]
    for key in list_pictures(encoders):
        named = {"mask": "mask", "jpg": "moments"}.get(key, f"{key}_moments")
        rows[named] = kind_of(key, mirrored), [name_row(key, *pair) for pair in pairs]
    for name in list_features(encoders):
        rows[f"{name}_features"] = kind_of(f"{name}_features", mirrored), garments
    if mirrored:
        return rows
    for name in list_features(encoders):
        if encoders.conditions[name].drop_to == "black":
            black = [name_black(sizes[garment]) for garment in garments]
            rows[f"{name}_null"] = f"{name}_features", black
    for name, prompt in list_shared_prompts(encoders).items():
        rows[f"{name}_context"] = "text", [prompt] * len(pairs)
    if reads_text(encoders):
        rows["context"] = "text", [person["prompt"] for person, _ in pairs]
        rows["empty_context"] = "text", [""] * len(pairs)
    return rows


def name_row(key, person, worn) -> str:
    """What the row of a pair's pictures is called: their files."""
    return " ".join(files_of(key, person, worn))


def files_of(key, person, worn) -> tuple[str, ...]:
    line = worn if key == "garment" else person
    return tuple(line[file] for file in PICTURES[key][2])


def name_black(size) -> str:
    return "black {} x {}".format(*size)


def kind_of(key, mirrored) -> str:
    return f"mirrored_{key}" if mirrored else key


def collect_texts(prompts, weights, shared=()) -> Texts:
    """Those prompts, behind the empty one and what `shared` ones every row of a batch has."""
    alone = tuple(dict.fromkeys(["", *shared]))
    files = dict.fromkeys([*alone, *prompts], ())
    return Texts("text", "prompts", "cond_stage_model", weights, files, alone=alone)


def collect_pictures(key, pairs, sizes, weights, mirrored):
    content, plural, _ = PICTURES[key]
    rows = {name_row(key, *pair): files_of(key, *pair) for pair in pairs}
    part = "" if content is Masks else "first_stage_model"
    plural = f"mirror images of {plural}" if mirrored else plural
    sizes = {name: sizes[names[0]] for name, names in rows.items()}
    return content(kind_of(key, mirrored), plural, part, part and weights, rows, sizes, mirrored=mirrored)


def collect_features(name, pairs, sizes, encoders, mirrored):
    part, rows, alone = f"{name}_encoder", {}, ()
    garments = {worn["garment"]: (worn["garment"],) for _, worn in pairs}
    found = {garment: sizes[garment] for garment in garments}
    if encoders.conditions[name].drop_to == "black" and not mirrored:
        black = {name_black(size): size for size in found.values()}
        alone, rows, found = tuple(black), dict.fromkeys(black, ()), black | found
    plural = f"{'mirrored ' * mirrored}garments' features"
    kind, weights = kind_of(f"{name}_features", mirrored), encoders.hashes[part]
    return Features(kind, plural, part, weights, rows | garments, found, alone=alone, mirrored=mirrored)


def measure_sizes(folder: Path, said: dict, multiple: int) -> dict[str, tuple[int, int]]:
    """Picture -> (height, width) as is said, else as the file does; refuses odd sides, missing files."""
    missing = [name for name in said if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} pictures of {folder} are missing, {first(missing)}")
    sizes = {name: tuple(size) if size else read_size(folder / name) for name, size in said.items()}
    odd = [f"{name} ({h} x {w})" for name, (h, w) in sizes.items() if h % multiple or w % multiple]
    if odd:
        raise ValueError(
            f"sides must be multiples of {multiple}, {len(odd)} pictures have others, {first(odd)}"
        )
    return sizes


def first(names, most=3) -> str:
    """'the first: a, b, c', to name a few of many."""
    return ("the first: " if len(names) > 1 else "") + ", ".join(map(str, names[:most]))
