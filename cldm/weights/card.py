"""A model card: README.md of a folder that is ready for a hub, from what a checkpoint says about itself."""

import math
import re
from contextlib import suppress

import yaml

TITLES = dict(cldm_v15="Stable Diffusion 1.5", cldm_v21="Stable Diffusion 2.1")
TITLES |= dict(cldm_v21_768="Stable Diffusion 2.1 (768)")
TITLES |= dict.fromkeys(("cldm_tiny", "cldm_tiny16"), "the tiny base of drawn dolls")
# of options, in the order of the card
TOLD = """learning_rate batch_size accumulate optimizer lr_schedule warmup_steps precision prompt_dropout
hint_dropout sd_locked min_snr_gamma ema_decay seed""".split()
FILL_IN = "**to be filled in**"
# of each table of measurements: heading, title of each column, what they mean, and what stands beside them
CONTROL_MIOU = (
    "Is the map obeyed?",
    {"miou": "control mIoU"},
    "A segmenter that takes no part in drawing finds the regions in pictures of held-out maps: intersection "
    "over union with the map, the mean over the regions. Floor: the same prompts and seeds without the map. "
    "Ceiling: the segmenter on the photos behind the maps.",
    dict(floor="floor", ceiling="ceiling"),
)
GARMENT_FIDELITY = (
    "Is the garment obeyed?",
    {"garment_at_16": "garment@16", "detail": "garment detail", "delta_e": "ΔE, lower is better"},
    "Held-out drawn people try on another garment, and are compared with the same people redrawn in it. "
    "Floor: without the garment. Ceiling: the truth through the autoencoder.",
    dict(floor="floor_{}", ceiling="ceiling_{}"),
)
OF_TRYON = (
    "`tryon.safetensors` holds what was trained, and how it draws. Garment ControlNet lays it over its base: "
    "its `models/README.md` says where to get that."
)
OF_CONTROL = """```python
from diffusers import ControlNetModel

control = ControlNetModel.from_pretrained("PATH_OF_THIS_FOLDER")
```

As one file for AUTOMATIC1111 and ComfyUI: `python tool_convert.py PATH_OF_THIS_FOLDER control.safetensors` of
Garment ControlNet."""
MEASURED = dict(control_miou=CONTROL_MIOU, garment_fidelity=GARMENT_FIDELITY)


def write_card(weights, name: str) -> str:
    """The text of README.md of weights (a Weights) whose folder has this name."""
    told = weights.metadata
    tryon = "tryon" in told
    parts = [f"# {name}", introduce(weights, tryon), *describe_measured(told), *describe_use(tryon)]
    parts += [*describe_colours(told), *describe_training(told), *describe_rights()]
    return f"---\n{header(told, tryon, name)}---\n\n" + "\n\n".join(parts) + "\n"


def header(told, tryon, name) -> str:
    """What a hub reads, yaml."""
    content = dict(license="unknown", library_name="pytorch" if tryon else "diffusers")
    content |= dict(pipeline_tag="image-to-image" if tryon else "text-to-image")
    content["tags"] = ["stable-diffusion", "fashion", *(["virtual-try-on"] if tryon else ["controlnet"])]
    if results := list_results(told):
        task, data = dict(type=content["pipeline_tag"]), last_part(options_of(told).get("data")) or "unknown"
        dataset = dict(type=data, name=f"{data}, held out")
        content["model-index"] = [
            dict(name=name, results=[dict(task=task, dataset=dataset, metrics=results)])
        ]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def list_results(told) -> list[dict]:
    """Metrics as a hub lists them: each with its floor and ceiling."""
    found = []
    for table, (_, names, _, beside) in MEASURED.items():
        row = row_of(told, table)
        for column, title in names.items():
            columns = {"": column} | {f", {what}": form.format(column) for what, form in beside.items()}
            found += [
                dict(type=column, name=title + what, value=row[key])
                for what, key in columns.items()
                if key in row
            ]
    return found


def row_of(told, table) -> dict[str, float]:
    """The newest numbers of a table that a checkpoint carries, none where it carries none."""
    measured = told.get("measured")
    row = measured.get(table) if isinstance(measured, dict) else None
    numbers = {}
    for name, value in row.items() if isinstance(row, dict) else ():
        with suppress(TypeError, ValueError):
            numbers[name] = float(value)
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def introduce(weights, tryon) -> str:
    told = weights.metadata
    config = re.sub(r"\.yaml$", "", last_part(weights.config or told.get("config")))
    what = f"Try-on, recipe `{config}`" if tryon else f"A ControlNet for {TITLES.get(config, f'`{config}`')}"
    data = options_of(told).get("data")
    trained = f", trained on `{last_part(data)}`" if data else ""
    counts = dict(steps=told.get("step"), pictures=told.get("pictures"))
    steps = ", ".join(f"{int(num):,} {name}" for name, num in counts.items() if str(num).isdecimal())
    return (
        f"{what}{trained}{f' ({steps})' if steps else ''} with Garment ControlNet. {FILL_IN}: what it is for."
    )


def describe_measured(told) -> list[str]:
    parts = []
    for table, (title, names, meaning, beside) in MEASURED.items():
        row = row_of(told, table)
        columns = {column: name for column, name in names.items() if column in row}
        if not columns:
            continue
        lines = ["| | measured | " + " | ".join(beside) + " |", "|---" * (2 + len(beside)) + "|"]
        for column, name in columns.items():
            cells = [column, *(form.format(column) for form in beside.values())]
            lines.append(f"| {name} | " + " | ".join(number(row.get(cell)) for cell in cells) + " |")
        regions = row.keys() - {"step", "pictures", *columns, *beside} if table == "control_miou" else ()
        lines += [f"| {cell(region)} | {number(row[region])} | | |" for region in row if region in regions]
        step = f" Measured at step {row['step']:,.0f}." if "step" in row else ""
        parts += [f"## {title}", "\n".join(lines), meaning + step]
    return parts or ["## Is it obeyed?", "That was not measured while it trained."]


def describe_use(tryon) -> list[str]:
    return ["## Use", OF_TRYON if tryon else OF_CONTROL]


def describe_colours(told) -> list[str]:
    hint = told.get("hint")
    if not isinstance(hint, dict) or not isinstance(hint.get("names"), list):
        return []
    pairs = zip(hint["names"], hint.get("colours") or [], strict=False)
    rows = [f"| {cell(name)} | {cell(colour)} |" for name, colour in pairs]
    table = ["| region | red, green, blue |", "|---|---|", *rows]
    return ["## Maps", "Exactly these colours, without smooth edges, as PNG:", "\n".join(table)]


def describe_training(told) -> list[str]:
    options, rows = options_of(told), {}
    for name, value in (("base", told.get("base")), ("data", options.get("data"))):
        rows[name] = last_part(value)
    rows |= {name: options.get(name) for name in TOLD} | {"code": told.get("git_commit")}
    lines = [f"| {name} | {cell(value)} |" for name, value in rows.items() if value not in (None, "")]
    return ["## Training", "\n".join(["| | |", "|---|---|", *lines])] if lines else []


def describe_rights() -> list[str]:
    lines = [f"- the {what}: {FILL_IN}" for what in ("weights", "base", "pictures that it was trained on")]
    lines.append(f"- consent of the people that they show: {FILL_IN}")
    text = "Then name the licence in `license:` at the top of this file, and the base in `base_model:`."
    return ["## Licence", "\n".join(lines), text]


def options_of(told) -> dict:
    options = told.get("options")
    return options if isinstance(options, dict) else {}


def last_part(path) -> str:
    """The name behind a path: what lies before it is of one machine."""
    return cell(re.split(r"[/\\]", str(path or "").rstrip("/\\"))[-1])


def number(value) -> str:
    return "" if value is None else f"{value:.3f}"


def cell(value) -> str:
    """One line of plain text in a table."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[|\s`<>]+", " ", text)[:200]
