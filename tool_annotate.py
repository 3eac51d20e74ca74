"""Make maps of a folder's photos: edges, garments, poses or masks; run the same command again to resume.

python tool_annotate.py training/dolls/target data/dolls_again --annotator garments \\
    --weights models/tiny/segmenter.safetensors             # on any CPU; it knows drawn dolls alone
python tool_annotate.py photos data/mine --annotator garments \\
    --weights models/annotators/segformer_b2_clothes
python tool_annotate.py photos data/poses --annotator pose --weights models/annotators --hands
python tool_annotate.py photos data/edges --annotator canny --low-threshold 50
python tool_annotate.py photos data/masks --annotator agnostic --category upper \\
    --weights models/annotators/segformer_b2_clothes        # what try-on may repaint

OUT gets masks/, with a map for each photo under its name, in the same sub-folders, and maps.csv,
which lists them. regions.yaml says what garment maps mean, nothing_found.csv and rejected.csv what
is missing and why. Look at sheet.png first. A map that is there is never written over, so it can be
corrected. tool_generate.py --maps OUT --photo PHOTOS draws from the maps. With the photos in
OUT/images, tool_prepare_data.py makes a training folder of OUT. More: docs/annotators.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    from annotator.annotators import ANNOTATORS, list_options

    parser = Parser(__doc__)
    add = parser.add_argument
    add("photos", type=Path, metavar="PHOTOS", help="The folder of photos, with sub-folders or without.")
    add("out", type=Path, metavar="OUT", help="The folder to make, or to go on with.")
    text = f"What maps show. There are {', '.join(ANNOTATORS)}."
    add("--annotator", required=True, metavar="NAME", help=text)
    weights = "; ".join(f"of {name}, {entry.weights}" for name, entry in ANNOTATORS.items() if entry.weights)
    parser.share("--weights", type=Path, help=f"The network's weights: {weights}.")
    for name, owners in list_options().items():
        text = " ".join(f"For {owner}: {field.metadata['help']}" for owner, field in owners.items())
        [field, *_] = owners.values()
        if field.type is bool:
            add(f"--{name.replace('_', '-')}", action="store_true", default=None, help=text)
        else:
            text += f" The default is {field.default}."
            add(f"--{name.replace('_', '-')}", type=field.type, metavar="X", help=text)
    parser.share("--limit", help="Take only the first N photos.")
    parser.share(
        "--workers", help="How many threads read and write. Without it, one for each core, 16 at most."
    )
    parser.share("--device")
    return parser.parse_args()


def run(arguments):
    from annotator.annotators import ANNOTATORS, list_options, load_annotator
    from annotator.folder.run import annotate_folder

    device, entry = "cpu", ANNOTATORS.get(arguments.annotator)
    if arguments.device != "auto" or (entry and entry.weights):
        from jobs.devices import pick_device

        device = pick_device(arguments.device)
    options = {name: getattr(arguments, name) for name in list_options()}
    annotator = load_annotator(arguments.annotator, arguments.weights, device, **options)
    annotate_folder(arguments.photos, arguments.out, annotator, arguments.limit, arguments.workers)


@entry_point(RESUMES)
def main():
    run(parse_arguments())


if __name__ == "__main__":
    main()
