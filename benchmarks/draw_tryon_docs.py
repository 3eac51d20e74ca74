"""Draw docs/tryon_sheet.png: what the report of a prepared try-on folder shows, of drawn persons.

python benchmarks/draw_tryon_docs.py        # seconds on any CPU
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from preparation.fittings import FittingOptions, prepare_fittings  # noqa: E402
from preparation.fittings.report import draw_strip  # noqa: E402

RAW = ROOT / "tests" / "helpers" / "goldens_masks" / "fixtures" / "dresscode"


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        prepare_fittings(RAW, out, FittingOptions(workers=1))
        lines = list(map(json.loads, (out / "prompt.json").read_text().splitlines()))
        strips = [np.asarray(Image.open(io.BytesIO(draw_strip(out, line)))) for line in lines[:3]]
    Image.fromarray(np.concatenate(strips)).save(ROOT / "docs" / "tryon_sheet.png")


if __name__ == "__main__":
    main()
