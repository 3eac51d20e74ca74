"""Draw pictures from maps and prompts, or of people in garments; run the same command again to resume.

python tool_generate.py                        # after `make demo`: its held-out maps, on any CPU
python tool_generate.py --inpaint top --grow 3 --feather 3 --out generated/tops
python tool_generate.py --maps maps --prompts prompts.csv --control runs/sd15/control.safetensors
python tool_generate.py --control runs/sd15/control.safetensors \\
    --control pose.safetensors:0.8:0-0.6@poses
python tool_generate.py --fittings training/tryon_dolls --out generated/own    # after `make tryon`
python tool_generate.py --people photos/people --garments photos/garments --pairs pairs.txt

The table of maps is a .csv with the columns map, prompt and, where wanted, negative, seed and photo,
or a .jsonl of such objects; that of pairs has lines "person garment", or is a .csv. Without one,
held-out lines are taken, or all of a folder. OUT gets pictures that say how they were made,
manifest.csv, rejected.csv and sheet.png. More: docs/generating.md, docs/tryon.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add, folder, file = parser.add_argument, dict(type=Path, metavar="DIR"), dict(type=Path, metavar="FILE")
    add("--maps", help="The folder of maps. Without it, training/dolls.", **folder)
    add("--prompts", help="The table of maps, .csv or .jsonl. They are files of --maps.", **file)
    add("--fittings", help="A training folder of try-on. Without it, the checkpoint's.", **folder)
    add("--people", help="In place of --fittings, a folder of photos of people.", **folder)
    add("--garments", help="The garments for --people, a folder of photos.", **folder)
    add("--pairs", help="Who wears what. Without it, everybody their own garment.", **file)
    add("--category", metavar="NAME", help="What --garments are: upper, lower or dress. Without it, upper.")
    text = "Cut garments out of photos of people, by regions of their maps or by mask."
    add("--cut", default="", metavar="REGION,...", help=text)
    add("--out", default=Path("generated"), help="The folder of pictures.", **folder)
    text = "A trained control or try-on. Several controls add up. Without any, the newest in runs/."
    form = "FILE[:STRENGTH[:START-END]][:guess][@MAPS]"
    parser.share("--control", action="append", default=[], metavar=form, help=text)
    parser.share("--base", "--config")
    add("--prompt", default="", metavar="TEXT", help="The prompt of maps or people that have none.")
    add("--negative", default="", metavar="TEXT", help="The negative prompt where the table gives none.")
    add("--photo", help="Start from photos that are named as maps are. Without it, the table's.", **folder)
    text = "The share of the steps that are run from a photo. Without it 0.75, and 1 to inpaint or try on."
    add("--denoise", type=float, metavar="X", help=text)
    text = "Paint only these regions of the photos anew; of try-on in place of the mask."
    add("--inpaint", default="", metavar="REGION,...", help=text)
    add("--grow", type=int, default=0, metavar="PIXELS", help="Grow these regions by so much.")
    add("--feather", type=int, default=0, metavar="PIXELS", help="Fade over so much of their border.")
    text = "Of try-on: none, each_step, paste or blend, what stays outside of the mask, if not the model's."
    add("--repaint", metavar="HOW", help=text)
    parser.share("--segmenter", help="Of try-on: finds label maps of people who have none.")
    parser.share("--num", help="How many pictures are drawn of each map or pair.")
    parser.share("--limit", "--seed", "--sampling-steps")
    parser.share("--sampler", default=None, help="The sampler. Without it dpmpp_2m, of try-on ddim.")
    text = "The scale of guidance. Without it 9, 3 for the tiny model; of try-on the model's own."
    parser.share("--guidance", help=text)
    text = "The short side in pixels. Without it, the map's, where the model knows such sizes."
    add("--size", type=int, metavar="N", help=text)
    parser.share("--batch-size", "--device")
    return parser.parse_args()


def run(arguments):
    from generation.draw_table import draw_table
    from generation.fitting_run import ask_for_fittings, wants_fittings
    from generation.map_run import ask_for_maps
    from jobs.progress import Progress

    ask = ask_for_fittings if wants_fittings(arguments) else ask_for_maps
    draw_table(ask(arguments), arguments.out, Progress)


@entry_point(RESUMES)
def main():
    run(parse_arguments())


if __name__ == "__main__":
    main()
