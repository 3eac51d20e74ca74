"""Draw pictures from a folder of maps and a table of prompts; run the same command again to resume.

python tool_generate.py                        # after `make demo`: its held-out maps, on any CPU
python tool_generate.py --inpaint top --grow 3 --feather 3 --out generated/tops
python tool_generate.py --maps maps --prompts prompts.csv --control runs/sd15/control.safetensors
python tool_generate.py --control runs/sd15/control.safetensors \\
    --control pose.safetensors:0.8:0-0.6@poses

The table is a .csv with the columns map, prompt and, where wanted, negative, seed and photo, or a
.jsonl of such objects. Without one, a training folder's held-out lines are taken, or every map of
another folder. OUT gets pictures that say how they were made, manifest.csv, rejected.csv and
sheet.png. More: docs/generating.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add, folder = parser.add_argument, dict(type=Path, metavar="DIR")
    add("--maps", default=Path("training/dolls"), help="The folder of maps.", **folder)
    add(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="The table, .csv or .jsonl. Its maps are files of --maps.",
    )
    add("--out", default=Path("generated"), help="The folder of pictures.", **folder)
    text = "A trained control. Several add up. Without any, the newest in runs/ is taken."
    form = "FILE[:STRENGTH[:START-END]][:guess][@MAPS]"
    parser.share("--control", action="append", default=[], metavar=form, help=text)
    parser.share("--base", "--config")
    add("--prompt", default="", metavar="TEXT", help="The prompt of maps to which the table gives none.")
    add("--negative", default="", metavar="TEXT", help="The negative prompt where the table gives none.")
    add("--photo", help="Start from photos that are named as maps are. Without it, the table's.", **folder)
    text = "The share of the steps that are run from a photo. Without it, 0.75, and 1 to inpaint."
    add("--denoise", type=float, metavar="X", help=text)
    add("--inpaint", default="", metavar="REGION,...", help="Paint only these regions of the photos anew.")
    add("--grow", type=int, default=0, metavar="PIXELS", help="Grow these regions by so much.")
    add("--feather", type=int, default=0, metavar="PIXELS", help="Fade over so much of their border.")
    parser.share("--num", "--limit", "--seed", "--sampling-steps", "--sampler", "--guidance")
    text = "The short side in pixels. Without it, the map's, where the model knows such sizes."
    add("--size", type=int, metavar="N", help=text)
    parser.share("--batch-size", "--device")
    return parser.parse_args()


def run(arguments):
    from generation.control_files import load_controls, named_or_newest
    from generation.draw_table import draw_all, find_drawn, summarize, write_tables
    from generation.options import check_controls, read_options
    from generation.sheet import write_sheet
    from generation.table import read_rows
    from generation.table_pictures import RowChecker
    from jobs.devices import pick_device
    from jobs.progress import Progress
    from jobs.whole_files import alone_in
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    options, files, out = read_options(arguments), named_or_newest(arguments.control), arguments.out
    check_controls(options, files)
    rows, bad, unused = read_rows(options.maps, arguments.prompts, arguments.prompt, arguments.negative)
    loaded, controls = load_controls(files, arguments.config, pick_device(arguments.device), arguments.base)
    for note in loaded.notes:
        print(f"{loaded.source}: {note}", flush=True)
    checker = RowChecker(loaded, controls, options, HintEncoder.from_file(REGIONS_FILE))
    pictures, worse = checker.check(rows[: arguments.limit])
    rejected = sorted(bad + worse, key=lambda row: row.row)
    print(summarize(checker, pictures, rejected, unused), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        done = find_drawn(pictures, out)
        progress = Progress(str(out), len(pictures), "pictures", len(done))
        try:
            draw_all(checker, pictures, out, arguments.batch_size, done, progress.add)
        finally:
            write_tables(pictures, rejected, out)
        if not pictures:
            raise ValueError(f"no row can be drawn, see {out / 'rejected.csv'}: {rejected[0].reason}")
        shown = write_sheet(checker, pictures, out)
    print(f"{out}: {len(pictures)} pictures, sheet.png shows those of the first {shown} maps")


@entry_point(RESUMES)
def main():
    run(parse_arguments())


if __name__ == "__main__":
    main()
