"""The report's part on what is in the folder: sizes, regions, splits, captions."""

import html
from collections import Counter

import numpy as np

from .charts import bars
from .sheets import evenly

EXAMPLES, MOST_BUCKETS = 3, 24


def contents_part(lines: list[dict], summary: dict) -> str:
    """Buckets, regions and splits of what will be trained on."""
    total, buckets = len(lines) or 1, dict(list(summary["buckets"].items())[:MOST_BUCKETS])
    rest = len(lines) - sum(buckets.values())
    buckets |= {f"{len(summary['buckets']) - MOST_BUCKETS} others": rest} if rest else {}
    areas = {name: np.mean([line["areas"].get(name, 0) for line in lines]) for name in summary["regions"]}
    covers = ", ".join(f"{html.escape(name)} {area:.1%}" for name, area in areas.items())
    groups = Counter(split for split, _ in {(line["split"], line["group"]) for line in lines})
    told = ", ".join(f"{groups[split]:,} in {split}" for split in summary["splits"])
    none = "None: the maps are pictures." if lines else "No picture was taken."
    regions = (
        f"<h3>Regions: share of the pictures that show them</h3>{bars(summary['regions'], total)}"
        f"<p class=n>Mean share of a picture's area: {covers}.</p>"
        if areas
        else f"<h3>Regions</h3><p>{none}</p>"
    )
    return (
        "<h2>What is in the folder</h2><div class=columns>"
        f"<div><h3>Sizes: height x width</h3>{bars(buckets, total)}</div><div>{regions}</div>"
        f"<div><h3>Splits</h3>{bars(summary['splits'], total)}<p class=n>Drawn by groups of photos "
        f"that show the same, so that nothing is in two of them: {told}.</p></div></div>"
    )


def captions_part(lines: list[dict], summary: dict) -> str:
    """Where captions come from, how long they are, and some of them."""
    sources = sorted({source for line in lines for source in line["captions"]})
    texts = {source: [t for line in lines if (t := line["captions"].get(source))] for source in sources}
    rows, prompts = [], [line["prompt"] for line in lines if line["prompt"]]
    for source, found in [("prompt", prompts), *texts.items()]:
        words = [len(text.split()) for text in found] or [0]
        shown = "<br>".join(html.escape(text) for text in evenly(found, EXAMPLES))
        rows.append(
            f"<tr><td>{html.escape(source)}<td class=r>{len(found):,}<td class=r>{np.median(words):.0f}"
            f"<td class=r>{max(words)}<td class=n>{shown}"
        )
    without = summary["pictures"]["without_prompt"]
    warning = f"<p>{without:,} pictures have no prompt.</p>" if without else ""
    return (
        f"<h2>Captions</h2>{warning}<p class=n>What trains is the prompt: one of each picture's captions.</p>"
        "<div class=scroll><table class=wide><tr><th>source<th class=r>pictures<th class=r>words, median"
        f"<th class=r>longest<th>examples{''.join(rows)}</table></div>"
    )
