"""The report of a try-on folder: persons, garments, masks and poses side by side, and what was not used."""

import base64
import html
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from jobs.whole_files import write_atomically
from pictures.unusable import Rejection
from reporting.contact_sheets import evenly
from reporting.html import page, table

SHOWN, HEIGHT = 24, 192
GREY = 128
LIMBS = """neck right_shoulder right_elbow right_wrist|neck left_shoulder left_elbow left_wrist|neck right_hip
    right_knee right_ankle|neck left_hip left_knee left_ankle|nose neck"""


def write_report(out: Path, lines: list[dict], rejected: list[Rejection], summary: dict) -> None:
    """Write OUT/report.html, which needs no other file."""
    title = f"{Path(out).resolve().name}: persons and garments"
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(describe_summary(summary))}</p>"]
    if summary["leaks"]:
        named = ", ".join(summary["leaks"][:10])
        parts.append(f"<p class='box bad'>In training and test at once: {html.escape(named)}.</p>")
    parts.append("<h2>Person, what stays of it, mask, pose, garment</h2>")
    for line in evenly(lines, SHOWN):
        picture = base64.b64encode(draw_strip(Path(out), line)).decode()
        words = f"{line['name']}, {line['category']}, {line['split']}: {line['garment_prompt']}"
        parts.append(f"<figure><img alt='{html.escape(words)}' src='data:image/jpeg;base64,{picture}'>")
        parts.append(f"<figcaption class=n>{html.escape(words)}</figcaption></figure>")
    if rejected:
        counts = Counter(rejection.reason.split(":")[0] for rejection in rejected)
        rows = [{"reason": reason, "fittings": count} for reason, count in counts.most_common(20)]
        parts += ["<h2>Not used</h2>", table(rows, "options")]
    write_atomically(Path(out) / "report.html", page(title, parts))


def describe_summary(summary: dict) -> str:
    splits = ", ".join(f"{count} in {name}" for name, count in summary["splits"].items())
    kinds = ", ".join(f"{count} {name}" for name, count in summary["categories"].items())
    return (
        f"{summary['fittings']} fittings ({splits}; {kinds}), {summary['unpaired']} unpaired tests, masks "
        f"of style {summary['mask_style']}, {summary['rejected']} rejected."
    )


def draw_strip(out: Path, line: dict) -> bytes:
    """Person, agnostic person, mask over person, pose, garment: a JPEG, HEIGHT rows high."""
    person, garment = (
        np.asarray(Image.open(out / line[key]).convert("RGB")) for key in ("target", "garment")
    )
    mask = np.asarray(Image.open(out / line["mask"])) > 127
    agnostic, marked, posed = person.copy(), person.copy(), person // 3
    agnostic[mask] = GREY
    marked[mask] = marked[mask] // 2 + np.array([127, 0, 0], np.uint8)
    if "pose" in line:
        posed = draw_pose(posed, json.loads((out / line["pose"]).read_text())["points"])
    strip = Image.fromarray(np.concatenate([person, agnostic, marked, posed, garment], axis=1))
    strip = strip.resize((round(strip.width * HEIGHT / strip.height), HEIGHT), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    strip.save(data, "JPEG", quality=85)
    return data.getvalue()


def draw_pose(pixels, points: dict) -> np.ndarray:
    """Limbs between joints that were found, over a picture uint8 (H, W, 3)."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for limb in LIMBS.split("|"):
        joints = [tuple(points[joint]) for joint in limb.split() if joint in points]
        for a, b in zip(joints, joints[1:], strict=False):
            if any(a) and any(b):
                draw.line([a, b], fill=(255, 220, 80), width=max(2, image.height // 128))
    return np.asarray(image)
