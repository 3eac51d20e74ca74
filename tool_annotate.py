"""Maps of a folder's photos: edges, garment regions or poses; run the same command again to resume.

python tool_annotate.py training/dolls/target data/dolls_again --annotator garments \\
    --weights models/tiny/segmenter.safetensors                           # the shipped one knows drawn dolls
python tool_annotate.py photos data/mine --annotator garments --weights models/annotators/segformer_b2_clothes
python tool_annotate.py photos data/poses --annotator pose --weights models/annotators --hands
python tool_annotate.py photos data/edges --annotator canny --low-threshold 50

OUT gets masks/, with a map for each photo under its name, in the same sub-folders; maps.csv, which lists
them; regions.yaml, which says what garment maps mean; nothing_found.csv and rejected.csv, where there is
cause; and sheet.png: look at that first. A map that is there is never written over, so it can be corrected.
tool_generate.py --maps OUT --photo PHOTOS draws from it; with photos in OUT/images, tool_prepare_data.py
makes a training folder of OUT. More: docs/annotators.md
"""

import argparse
import sys
from pathlib import Path

from jobs.resumable import resumable


def parse_arguments():
    from annotator.annotators import ANNOTATORS, list_options

    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add, shown = parser.add_argument, "(default: %(default)s)"
    add("photos", type=Path, metavar="PHOTOS", help="folder of photos, with sub-folders or without")
    add("out", type=Path, metavar="OUT", help="folder to make or to go on with")
    add("--annotator", required=True, metavar="NAME", help=f"one of {', '.join(ANNOTATORS)}")
    weights = "; ".join(f"of {name}: {entry.weights}" for name, entry in ANNOTATORS.items() if entry.weights)
    add("--weights", type=Path, metavar="PATH", help=weights)
    for name, owners in list_options().items():
        text = "; ".join(f"of {owner}: {field.metadata['help']}" for owner, field in owners.items())
        [field, *_] = owners.values()
        how = (
            dict(action="store_true", default=None)
            if field.type is bool
            else dict(type=field.type, metavar="X")
        )
        text += "" if field.type is bool else f" (default: {field.default})"
        add(f"--{name.replace('_', '-')}", help=text, **how)
    add("--limit", type=int, metavar="N", help="only the first N photos")
    add("--workers", type=int, metavar="N", help="threads that read and write (default: one for each core)")
    add("--device", default="auto", help=f"auto, cpu, mps, ... {shown}")
    return parser.parse_args()


def run(arguments):
    from annotator.annotators import ANNOTATORS, list_options, load_annotator
    from annotator.folder.run import annotate_folder

    device, entry = "cpu", ANNOTATORS.get(arguments.annotator)
    if arguments.device != "auto" or (entry and entry.weights):
        from cldm.weights.load import pick_device

        device = pick_device(arguments.device)
    options = {name: getattr(arguments, name) for name in list_options()}
    annotator = load_annotator(arguments.annotator, arguments.weights, device, **options)
    annotate_folder(arguments.photos, arguments.out, annotator, arguments.limit, arguments.workers)


def main():
    resumable()
    try:
        run(parse_arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
