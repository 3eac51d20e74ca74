"""The report of a run: one HTML page, made from the files in its folder alone and without the model."""

import html
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jobs.json_files import read_json
from jobs.whole_files import write_atomically
from learning.options import TrainOptions, read_options
from learning.takeover import advise, describe_newest, describe_takeover
from reporting.charts import fidelity_charts, miou_chart, training_charts, validation_charts
from reporting.html import box, charts, fold, page, picture, table
from reporting.strips import (
    HELD_OUT,
    OWN_GIVEN,
    OWN_SAMPLES,
    SHOWN,
    draw_strips,
    load_strip,
    load_strips,
    thin_out,
)
from reporting.tables import column, read_rows

IOU_TEXT = (
    "An independent segmenter reads the regions off each picture that was generated from a held-out map; "
    "intersection over union with the map, summed over all pictures, mean over the garment regions, "
    "background not counted. Floor: the same prompts and seeds without control. Ceiling: the segmenter on "
    "the photos themselves."
)
FIDELITY_TEXT = (
    "Held-out dolls in the next doll's garment. Each picture is compared, inside the mask, with the same "
    "doll redrawn. garment@16: the share nearest to the right one of 16 garments, 1/16 by chance. Detail: "
    "how much more often than by chance it is nearer to the garment than to copies with one attribute "
    "changed, the mean over six attributes. ΔE: how far mean colours are off. Floor: without garment. "
    "Rolled: given the garment after the next, which must come out as by chance. Ceiling: the truth through "
    "the autoencoder."
)
LOSS_TEXT = (
    "Held-out pictures, the same noise and timesteps every time, so that these numbers can be compared "
    "between steps and runs. The gap between the loss without the {condition} and with it shows how much the "
    "{condition} is used."
)
SIDES_TEXT = (
    " Inside of the mask is what must be drawn, and where the garment counts; outside is what the model sees "
    "anyway. A gap outside says that something else than the garment has changed."
)
TRAINING_TEXT = (
    "The training loss moves with the timesteps that happen to be drawn. It says whether something broke, "
    "and nothing about whether the {condition} is obeyed."
)


GIVEN = "control", "agnostic", "garment"  # what pictures of the image log are drawn from


def write_report(run) -> Path:
    """Write report.html into a run's folder, replacing an older one at once; returns its path."""
    run = Path(run)
    if not (run / "options.yaml").exists():
        raise FileNotFoundError(f"{run} is not the folder of a run: it has no options.yaml")
    options = asdict(TrainOptions()) | read_options(run)  # an older version's run lacks some
    found, held_out = read_written(run / "convergence.json"), read_written(run / "samples" / HELD_OUT)
    names = "metrics", "validation", "control_miou", "garment_fidelity"
    metrics, validation, miou, fidelity = (read_rows(run / f"{name}.csv") for name in names)
    condition = "garment" if (run / "tryon.safetensors").exists() else "map"
    parts = [f"<h1>{html.escape(str(run))}</h1>", describe_progress(metrics, options)]
    parts += describe_run(found, metrics, validation, miou, fidelity, options, condition)
    if miou:
        regions = held_out["regions"] if held_out else dict(names=[], colours=[])
        parts += ["<h2>Is the map obeyed?</h2>", miou_chart(miou, regions, found)]
        parts += [f"<p class=n>{IOU_TEXT}</p>"]
    if fidelity:
        parts += ["<h2>Is the garment obeyed?</h2>", charts(fidelity_charts(fidelity))]
        parts += [f"<p class=n>{FIDELITY_TEXT}</p>"]
    if held_out and "fittings" in held_out:
        parts += show_fittings(run / "samples", held_out)
    elif held_out:
        parts += show_held_out(run / "samples", held_out)
    parts += show_own_samples(run / OWN_SAMPLES)
    if condition == "garment" or not held_out:
        parts += show_image_log(run / "image_log" / "train")
    if validation:
        parts += ["<h2>Validation loss</h2>", charts(validation_charts(validation, found, condition))]
        sides = SIDES_TEXT if validation[-1].get("inside") else ""
        parts += [f"<p class=n>{LOSS_TEXT.format(condition=condition)}{sides}</p>"]
    if metrics:
        parts += ["<h2>Training</h2>", charts(training_charts(metrics, found))]
        parts += [f"<p class=n>{TRAINING_TEXT.format(condition=condition)}</p>"]
    measured = {"Control mIoU": miou, "Garment fidelity": fidelity, "Validation loss": validation}
    for title, rows in measured.items():
        parts += [fold(f"{title}, all measurements", table(rows))] if rows else []
    parts += [fold("Options", table([dict(option=k, value=v) for k, v in options.items()], "options"))]
    write_atomically(run / "report.html", page(run.name, parts))
    return run / "report.html"


def read_written(path) -> dict | None:
    """What a run has written, None if it has not."""
    try:
        return read_json(path) if path.exists() else None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: delete it, a resumed run writes it anew") from error


def describe_progress(metrics, options) -> str:
    """How far the run is."""
    if not metrics:
        return "<p>No step has been made yet.</p>"
    last, recent, pictures = metrics[-1], metrics[-100:], column(metrics[-1:], "pictures")[0]
    rate, wait = (np.nanmedian(column(recent, name)) for name in ("pictures_per_second", "data_wait"))
    return (
        f"<p>Step <b>{int(last['step']):,}</b> of {options['max_steps']:,}, {pictures:,.0f} "
        f"pictures; {rate:.3g} pictures per second at last, "
        f"{100 * wait:.0f} % of the time waiting for data.</p>"
    )


def describe_run(found, metrics, validation, miou, fidelity, options, condition) -> list[str]:
    """The verdict on convergence, the newest measurement, and what went wrong, a box or sentence each.

    `condition` is what is to be obeyed, "map" or "garment"; a garment does not take over all at once.
    """
    texts = []
    if condition == "map" and (found or miou or validation):
        texts.append(show_takeover(found, metrics, miou, validation, options))
    if miou:
        value, floor, ceiling = (column(miou[-1:], name)[0] for name in ("miou", "floor", "ceiling"))
        times = f", {value / floor:.1f} times the floor" if floor else ""
        texts.append(
            f"<p>Control mIoU <b>{value:.3f}</b> at step {int(miou[-1]['step']):,}{times}. "
            f"Floor {floor:.3f}, ceiling {ceiling:.3f}.</p>"
        )
    if fidelity:
        texts.append(describe_fidelity(fidelity[-1]))
    if validation:
        loss, gap = (column(validation[-1:], name)[0] for name in ("loss", "gap"))
        share = f": a gap of {100 * gap / (loss + gap):.1f} %" if loss + gap else ""
        texts.append(
            f"<p>Validation loss <b>{loss:.4f}</b> with the {condition}, {loss + gap:.4f} without it at step "
            f"{int(validation[-1]['step']):,}{share}.</p>"
        )
    if skipped := [row["step"] for row in metrics if row.get("skipped") == "1"]:
        listed = ", ".join(skipped[:20]) + (", ..." if len(skipped) > 20 else "")
        counted = f"{len(skipped)} steps were" if len(skipped) > 1 else "1 step was"
        texts.append(box(f"{counted} skipped, because loss or gradient was no number: {listed}.", "bad"))
    return texts


def describe_fidelity(row) -> str:
    """The newest row of garment_fidelity.csv in a paragraph."""

    def told(name, digits=2):
        value, *beside = (column([row], f"{what}{name}")[0] for what in ("", "rolled_", "floor_", "ceiling_"))
        rolled, floor, ceiling = (f"{number:.{digits}f}" for number in beside)
        return f"<b>{value:.{digits}f}</b> (rolled {rolled}, floor {floor}, ceiling {ceiling})"

    return (
        f"<p>garment@16 {told('garment_at_16')}, detail {told('detail')}, ΔE {told('delta_e', 1)} at step "
        f"{int(row['step']):,}.</p>"
    )


def show_takeover(found, metrics, miou, validation, options) -> str:
    """Has the map taken over, and what then?"""
    finished = bool(metrics) and int(metrics[-1]["step"]) >= options["max_steps"]
    rest = describe_newest(found, miou, validation, finished)
    if not found:
        return box(rest)
    text = describe_takeover(found)
    sentences = [f"{text[0].upper()}{text[1:]}."] + [rest] * bool(rest)
    if found["accumulate"]:
        sentences.append(
            f"Since step {found['accumulate_from']:,} a step takes {found['accumulate']} micro-batches."
        )
    elif not options["after_convergence"] and not rest and not finished:
        sentences.append(f"{advise(options['accumulate'])}.")
    return box(" ".join(sentences), "" if rest else "yes")


def show_held_out(folder, held_out) -> list[str]:
    """Maps, what was drawn from them last and without control, the photos; then step by step."""
    sizes = held_out["sizes"]
    maps, real, floor = (load_strip(folder / f"{name}.png", sizes) for name in ("maps", "real", "floor"))
    strips = load_strips(folder, sizes)
    if not (strips and maps and real and floor):
        return []
    last = max(strips)
    sheet = [("map", maps), (f"with control, step {last}", strips[last])]
    sheet += [("same prompt and seed, no control", floor), ("the photo behind the map", real)]
    steps = [(f"step {step}", strips[step]) for step in thin_out(sorted(strips))]
    parts = ["<h2>Held-out maps</h2>", picture(draw_strips(sheet)), *list_prompts(held_out["prompts"])]
    return [*parts, "<h2>On the way</h2>", picture(draw_strips([("map", maps), *steps]))]


def show_fittings(folder, held_out) -> list[str]:
    """Garments, what was drawn of them last, in another garment and without one, the truth; step by step."""
    sizes, steps = held_out["sizes"], load_strips(folder, held_out["sizes"])
    garments = load_strip(folder / "garment.png", held_out["garments"])
    named = {"person": "agnostic", "given the garment after it": "rolled", "no garment": "floor"}
    named["the truth, drawn"] = "truth"
    strips = {title: load_strip(folder / f"{name}.png", sizes) for title, name in named.items()}
    if not (steps and garments and all(strips.values())):
        return []
    person, *others = strips.items()
    sheet = [("garment", garments), person, (f"tried on, step {max(steps)}", steps[max(steps)]), *others]
    way = [(f"step {step}", steps[step]) for step in thin_out(sorted(steps))]
    parts = ["<h2>Held-out dolls</h2>", picture(draw_strips(sheet)), "<h2>On the way</h2>"]
    return [*parts, picture(draw_strips([("garment", garments), *way]))]


def show_own_samples(folder) -> list[str]:
    """What the option `samples` lists, and what was drawn from it step by step."""
    told = read_written(folder / OWN_GIVEN)
    if not told:
        return []
    given = {name: load_strip(folder / f"{name}.png", sizes) for name, sizes in told["sizes"].items()}
    drawn = load_strips(folder, next(iter(told["sizes"].values())))
    if not (drawn and all(given.values())):
        return []
    steps = [(f"step {step}", drawn[step]) for step in thin_out(sorted(drawn))]
    parts = ["<h2>Own samples</h2>", picture(draw_strips([*given.items(), *steps]))]
    return parts + list_prompts(told["prompts"])


def list_prompts(prompts) -> list[str]:
    """Those of the pictures that are shown, if there are any."""
    listed = "".join(f"<li>{html.escape(prompt)}</li>" for prompt in prompts[:SHOWN])
    return [f"<ol class=n>{listed}</ol>"] if any(prompts) else []


def show_image_log(folder, most=4) -> list[str]:
    """Pictures of the image log at `most` steps, the newest first, beside what they were drawn from."""
    from PIL import Image

    drawn = {int(path.name.split("_gs-")[1][:6]): path for path in sorted(folder.glob("samples*_gs-*.png"))}
    if not drawn:
        return []
    parts = ["<h2>Image log</h2><p class=n>What was trained on, and what was drawn from it.</p>"]
    for step in reversed(thin_out(sorted(drawn), most)):
        given = [path for name in GIVEN for path in sorted(folder.glob(f"{name}_gs-{step:06}_*.png"))[-1:]]
        try:
            pictures = [np.asarray(Image.open(path).convert("RGB")) for path in [*given, drawn[step]]]
        except OSError:  # cut short where the run was killed
            continue
        pair = "".join(map(picture, pictures))
        parts.append(f"<p class=n>step {step}</p><div class=pair>{pair}</div>")
    return parts
