"""The page's looks, with each region's colour before its brush."""

from pathlib import Path

from cldm.demo.page_map import brush_order

RULE = "#brush label:nth-of-type({})::before {{ background: rgb{} }}\n"


def style(encoder) -> str:
    """The page's CSS."""
    css = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return css + "".join(
        RULE.format(i, encoder.colours[region]) for i, region in enumerate(brush_order(encoder), 1)
    )
