"""Draw docs/people.png: dolls, and fittings with their garments, masks and garments of others.

python benchmarks/draw_people.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
OUT, SEED = Path("docs/people.png"), 9


def draw_fitting_row(index: int):
    """Person, product picture, person without the garment, person in another garment, that garment."""
    import numpy as np

    from paperdoll.scene import draw_product
    from paperdoll.tryon import CATEGORIES, arrange, choose_other_garment

    category = list(CATEGORIES)[(0, 0, 1, 2)[index % 4]]
    fitting = arrange(SEED, index, category=category)
    other, photo = choose_other_garment(SEED, index, category), fitting.wear().drawing.photo
    hidden = np.where(fitting.agnostic_mask()[:, :, None], 128, photo).astype(np.uint8)
    products = [draw_product(garment, fitting.size).photo for garment in (fitting.garment, other)]
    return np.concatenate(
        [photo, products[0], hidden, fitting.wear(other).drawing.photo, products[1]], axis=1
    )


def main():
    import numpy as np
    from PIL import Image

    from paperdoll import draw

    people = [draw(SEED, index).photo for index in range(30)]
    rows = [np.concatenate(people[start : start + 10], axis=1) for start in range(0, 30, 10)]
    fittings = [draw_fitting_row(index) for index in range(4)]
    pairs = [np.concatenate(fittings[start : start + 2], axis=1) for start in (0, 2)]
    width = rows[0].shape[1]
    pairs = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pairs]
    OUT.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate([*rows, *pairs])).save(OUT, optimize=True)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
