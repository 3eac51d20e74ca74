"""All pictures of a request on one sheet: a person in several garments, or several people in one."""

from demo.tryon.drawing import DrawnFitting
from demo.tryon.request import PEOPLE, FitRequest
from reporting.picture_sheet import Row, Tile, draw_sheet

ACROSS = 4  # pictures in a row


def draw_lookbook(request: FitRequest, drawn: list[DrawnFitting]) -> bytes:
    """A PNG: what was tried on, or by whom, in rows of four, and below each the pictures of it."""
    num, rows = request.num_samples, []
    columns = [drawn[i : i + num] for i in range(0, len(drawn), num)]
    for start in range(0, len(columns), ACROSS):
        part = columns[start : start + ACROSS]
        chains = request.chains[start : start + ACROSS]
        given = [chain.person.offer if request.way == PEOPLE else chain.garments[0][0] for chain in chains]
        rows.append(Row("" if start else "Lookbook", [Tile(offer.pixels, offer.name) for offer in given]))
        for sample in range(num):
            rows.append(Row("", [Tile(c[sample].pixels, f"seed {c[sample].facts['seed']}") for c in part]))
    return draw_sheet(rows)
