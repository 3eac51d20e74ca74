"""The report of a run: one HTML page with the curve of control mIoU, numbers, and pictures beside masks."""

import base64
import csv
import html
import io
import os
from pathlib import Path

import numpy as np

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%} table{border-collapse:collapse;margin:1em 0}
td,th{padding:.25em .9em;border-bottom:1px solid #ddd;text-align:right} .n{color:#666;font-size:.9em}"""
SHOWN = 8  # pictures in the strips


def write_report(run, rows, encoder, maps, prompts, real, floor, strips):
    """Write report.html and control_miou.png into the run's folder, replacing older ones at once.

    Args:
        rows: one dict per measurement, as in control_miou.csv.
        maps, real: region ids (H, W) and photos (H, W, 3) of the n held-out items; `prompts` theirs.
        floor: ControlScore without control; `strips`: step -> n pictures (H, W, 3).
    """
    run, masks = Path(run), [encoder.to_rgb(ids) for ids in maps]
    curve = draw_curve(rows, encoder)
    save(run / "control_miou.png", curve)
    last = max(strips)
    sheet = [("mask", masks), (f"with control, step {last}", strips[last])]
    sheet += [("same prompt and seed, no control", floor.pictures), ("the photo behind the mask", real)]
    steps = [(f"step {step}", strips[step]) for step in thinned(sorted(strips))]
    page = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(run.name)}</title><style>{STYLE}</style>",
        f"<h1>Is the mask obeyed? {html.escape(str(run))}</h1>",
        summary(rows[-1]),
        image(curve),
        "<h2>Held-out masks</h2>",
        image(png(draw_strips(sheet))),
        "<ol class=n>" + "".join(f"<li>{html.escape(p)}</li>" for p in prompts[:SHOWN]) + "</ol>",
        "<h2>On the way</h2>",
        image(png(draw_strips([("mask", masks), *steps]))),
        table(rows),
    ]
    save(run / "report.html", "\n".join(page).encode())


def summary(row) -> str:
    miou, floor, ceiling = (float(row[key]) for key in ("miou", "floor", "ceiling"))
    factor = f"{miou / floor:.1f} times the floor" if floor else "the floor is 0"
    return (
        f"<p>Control mIoU <b>{miou:.3f}</b> after {row['step']} optimizer steps "
        f"({int(row['pictures']):,} pictures): {factor}. Floor {floor:.3f}: same prompts and seeds without "
        f"control. Ceiling {ceiling:.3f}: the judge on the photos themselves.</p><p class=n>An independent "
        "segmenter reads the regions off each generated picture; intersection over union with the mask it "
        "was generated from, summed over all held-out pictures, mean over the garment regions, background "
        "not counted.</p>"
    )


def draw_curve(rows, encoder) -> bytes:
    """Control mIoU and each region's IoU over optimizer steps, between floor and ceiling, as PNG bytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    steps = [0, *(int(row["step"]) for row in rows)]
    floor, ceiling = float(rows[-1]["floor"]), float(rows[-1]["ceiling"])
    for name, colour in zip(encoder.names, encoder.colours, strict=True):
        if name in rows[-1]:
            values = [float(row[name]) if row.get(name) else np.nan for row in rows]
            axes.plot(steps[1:], values, ".-", color=np.multiply(colour, 0.8 / 255), linewidth=1, label=name)
    axes.plot(
        steps, [floor, *(float(row["miou"]) for row in rows)], "k-o", markersize=4, label="control mIoU"
    )
    axes.axhline(ceiling, color="grey", linestyle="--", linewidth=1, label="ceiling: photos")
    axes.axhline(floor, color="grey", linestyle=":", linewidth=1, label="floor: no control")
    axes.set(xlabel="optimizer steps", ylabel="IoU with the mask", ylim=(0, 1), xlim=(0, None))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def read_rows(path) -> list[dict]:
    """The rows of a csv file, none if it does not exist."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def save_strip(path, pictures):
    """Write pictures uint8 (H, W, 3) side by side as a PNG."""
    path.parent.mkdir(exist_ok=True)
    save(path, png(side_by_side(pictures)))


def side_by_side(pictures):
    """Pictures uint8 (H, W, 3) -> one, as high as the highest, white below the others."""
    height = max(len(picture) for picture in pictures)
    padding = [((0, height - len(picture)), (0, 0), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(p, below, constant_values=255) for p, below in zip(pictures, padding, strict=True)], axis=1
    )


def load_strips(folder, sizes):
    """Step -> pictures uint8 (H, W, 3) that save_strip wrote, for maps of these sizes (H, W)."""
    from PIL import Image

    heights, widths = zip(*sizes, strict=True)
    ends = np.cumsum(widths)
    strips = {}
    for path in sorted(folder.glob("step_[0-9]*.png")):
        strip = np.asarray(Image.open(path))
        # a resumed run may measure more or fewer maps than it did before
        if strip.shape == (max(heights), ends[-1], 3):
            pictures = np.split(strip, ends[:-1], axis=1)
            strips[int(path.stem[5:])] = [p[:h] for p, h in zip(pictures, heights, strict=True)]
    return strips


def draw_strips(strips):
    """[(title, pictures (H, W, 3))] -> one picture, a titled row each."""
    from PIL import Image, ImageDraw, ImageFont

    scale = max(1, 120 // min(picture.shape[1] for picture in strips[0][1]))
    font, bar = ImageFont.load_default(14), 22
    rows = []
    for title, pictures in strips:
        row = side_by_side(pictures[:SHOWN]).repeat(scale, 0).repeat(scale, 1)
        head = Image.new("RGB", (row.shape[1], bar), "white")
        ImageDraw.Draw(head).text((2, 3), title, fill="black", font=font)
        rows += [np.asarray(head), row]
    return np.concatenate(rows)


def thinned(steps, most=6):
    """At most `most` of the steps, evenly spread, first and last among them."""
    return [
        steps[i] for i in sorted({round(x) for x in np.linspace(0, len(steps) - 1, min(most, len(steps)))})
    ]


def table(rows) -> str:
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[-1])
    body = "".join(
        "<tr>" + "".join(f"<td>{row.get(key, '')}</td>" for key in rows[-1]) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def png(picture) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png")
    return buffer.getvalue()


def image(data: bytes) -> str:
    return f'<p><img src="data:image/png;base64,{base64.b64encode(data).decode()}"></p>'


def save(path, data: bytes):
    """Replace a file in one step."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
