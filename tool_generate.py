"""Pictures from a folder of maps and a table of prompts; run the same command again to resume.

python tool_generate.py                                # after `make demo`: its held-out maps, on any CPU
python tool_generate.py --inpaint top --grow 3 --feather 3 --out generated/tops    # tops anew in the photos
python tool_generate.py --maps maps --prompts prompts.csv --control runs/sd15/control.safetensors
python tool_generate.py --control runs/sd15/control.safetensors --control pose.safetensors:0.8:0-0.6@poses

The table is a .csv with the columns map, prompt and, where wanted, negative, seed, photo, or a .jsonl of such
objects. Without one, a training folder's held-out lines are taken, or every map of another folder.
OUT gets pictures that say how they were made, manifest.csv, rejected.csv, sheet.png. More: docs/generating.md
"""

import argparse
import sys
from pathlib import Path

from jobs.resumable import resumable


def parse_arguments():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add, shown = parser.add_argument, "(default: %(default)s)"
    add("--maps", type=Path, default="training/dolls", metavar="DIR", help=f"folder of maps {shown}")
    add("--prompts", type=Path, metavar="FILE", help="table, .csv or .jsonl; its maps are files of DIR")
    add("--out", type=Path, default="generated", metavar="OUT", help=f"folder of pictures {shown}")
    form, text = "FILE[:STRENGTH[:START-END]][:guess][@MAPS]", "several add up (default: the newest in runs/)"
    add("--control", action="append", default=[], metavar=form, help=text)
    add("--base", metavar="PATH", help="under the first control, file or folder (default: what that names)")
    add("--config", metavar="YAML", help="model of the first control (default: what it says it is)")
    add("--prompt", default="", metavar="TEXT", help="for maps that the table gives none")
    add("--negative", default="", metavar="TEXT", help="negative prompt where the table gives none")
    add("--photo", type=Path, metavar="DIR", help="start from photos named as maps (default: the table's)")
    add("--denoise", type=float, help="share of the steps run from a photo (default: 0.75; to inpaint, 1)")
    add("--inpaint", default="", metavar="REGION[,REGION]", help="paint only these of the photos anew")
    add("--grow", type=int, default=0, metavar="PIXELS", help=f"grow the regions by so much {shown}")
    add("--feather", type=int, default=0, metavar="PIXELS", help=f"width of the fade at their border {shown}")
    add("--num", type=int, default=1, help=f"pictures a map {shown}")
    add("--limit", type=int, metavar="N", help="only the first N rows")
    add("--seed", type=int, default=0, help=f"of the first row without one; later ones count on {shown}")
    add("--steps", type=int, default=20, help=shown[1:-1])
    add("--sampler", default="ddim", help=f"ddim or dpmpp_2m {shown}")
    add("--scale", type=float, help="classifier-free guidance (default: 9, for the tiny model 3)")
    add("--size", type=int, help="short side in pixels (default: the map's, where the model knows such)")
    add("--batch-size", type=int, default=4, help=f"pictures at once {shown}")
    add("--device", default="auto", help=f"auto, cpu, mps, ... {shown}")
    return parser.parse_args()


def run(arguments):
    from cldm.weights.load import pick_device
    from generation.control_files import load_controls, named_or_newest
    from generation.planned import Planner
    from generation.request import check_controls, request_of
    from generation.run import describe, draw_all, there, write_tables
    from generation.sheet import write_sheet
    from generation.table import read_rows
    from jobs.progress import Progress
    from jobs.whole_files import alone_in
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    request, files, out = request_of(arguments), named_or_newest(arguments.control), arguments.out
    check_controls(request, files)
    rows, bad, unused = read_rows(request.maps, arguments.prompts, arguments.prompt, arguments.negative)
    loaded, controls = load_controls(files, arguments.config, pick_device(arguments.device), arguments.base)
    planner = Planner(loaded, controls, request, HintEncoder.from_file(REGIONS_FILE))
    planned, worse = planner.plan(rows[: arguments.limit])
    rejected = sorted(bad + worse, key=lambda row: row.row)
    print(describe(planner, planned, rejected, unused), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        done = there(planned, out)
        progress = Progress(str(out), len(planned), "pictures", len(done))
        try:
            draw_all(planner, planned, out, arguments.batch_size, done, progress.add)
        finally:
            write_tables(planned, rejected, out)
        if not planned:
            raise ValueError(f"no row can be drawn, see {out / 'rejected.csv'}: {rejected[0].reason}")
        shown = write_sheet(planner, planned, out)
    print(f"{out}: {len(planned)} pictures, sheet.png shows those of the first {shown} maps")


def main():
    resumable()
    try:
        run(parse_arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
