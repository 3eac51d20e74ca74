"""Paint, upload or pick a garment map in the browser and get pictures that follow it.

python gradio_seg2image.py                    # newest training result, else the tiny model: runs on any CPU
python gradio_seg2image.py --checkpoint runs/dolls/control.safetensors --port 7861
python gradio_seg2image.py --control pose.safetensors:0.8:0-0.6 --models runs/sd15 --segmenter u2net.pth
"""

import argparse
import os
import sys
from pathlib import Path

TEMPLATES = (21, 41, 13, 23, 47, 4, 48, 46)  # dolls of seed 0
JUDGE_OF_DOLLS = Path("models/tiny/segmenter.safetensors")


def parse_arguments():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add, shown = parser.add_argument, "(default: %(default)s)"
    add("--checkpoint", metavar="FILE", help="whole model, or control branch that names its base")
    add("--base", metavar="PATH", help="under a control branch, file or folder (default: what that names)")
    add("--config", metavar="YAML", help="model of the checkpoint (default: what it says it is)")
    form, text = "FILE[:STRENGTH[:START-END]][:guess]", "further control, with a map of its own; repeatable"
    add("--control", action="append", default=[], metavar=form, help=text)
    add("--models", type=Path, metavar="DIR", help="folder of further checkpoints to choose from on the page")
    text = "finds garments in photos and judges pictures (default: the shipped one, for the tiny model alone)"
    add("--segmenter", type=Path, metavar="PATH", help=text)
    add(
        "--templates", type=Path, metavar="DIR", help="folder of maps to offer (default: templates, if there)"
    )
    add("--low-memory", action="store_true", help="draw one by one; on a GPU, keep there what is at work")
    add("--host", default="127.0.0.1", help=f"address to listen on; 0.0.0.0: for everybody {shown}")
    add("--port", type=int, help="(default: the first free one from 7860)")
    add("--share", action="store_true", help="also make a public address, by gradio's servers")
    add("--queue", type=int, default=16, help=f"visitors that may wait, one being served {shown}")
    add("--device", default="auto", help=f"auto, cpu, mps, cuda, cuda:1, ... {shown}")
    return parser.parse_args()


def segmenter_finder(path, device):
    """A Demo -> load_finder's functions: of `path`, or for the tiny model's dolls of the shipped one."""

    def find(demo):
        from annotator.segment import load_finder
        from pictures.regions import standard_regions

        dolls = demo.native_size < 256 and demo.encoder.names == standard_regions().names
        if path is None and not (dolls and JUDGE_OF_DOLLS.is_file()):
            return None, None
        return load_finder(path or JUDGE_OF_DOLLS, demo.encoder.names, device)

    return find


def extras(encoder, regions, folder):
    """Templates, drawn and of the folder, and the garments' vocabulary."""
    import yaml

    from annotator.caption.clip_labels import GARMENTS_FILE
    from demo.loading import read_templates
    from demo.page import Extras
    from learning.segmenter.distorted_dolls import doll_regions
    from preparation.paperdoll import draw

    dolls = [draw(0, index, 256) for index in TEMPLATES] if encoder.names == regions.names else []
    templates = [(doll_regions(doll), doll.caption, True) for doll in dolls]
    templates += read_templates(folder, encoder)
    lists = yaml.safe_load(GARMENTS_FILE.read_text(encoding="utf-8"))["lists"]
    words = {entry["region"]: entry["labels"] for entry in lists.values() if "region" in entry}
    return Extras(templates, {n: words[n] for n in encoder.names if n in words}, lists["colours"]["labels"])


def main():
    arguments = parse_arguments()
    print("Loading; this takes some seconds ...", flush=True)
    # before gradio is imported; it asks its own page whether it is up, which must not go through a proxy
    os.environ |= dict(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", no_proxy="*")
    from cldm.weights.load import pick_device
    from demo.loading import Loader, Models
    from demo.page import build_page
    from demo.serve import serve
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    regions = HintEncoder.from_file(REGIONS_FILE)
    try:
        device = pick_device(arguments.device)
        options = arguments.config, arguments.control, arguments.low_memory, arguments.base
        finder = segmenter_finder(arguments.segmenter, device)
        models = Models(Loader(device, regions, *options), finder, arguments.checkpoint, arguments.models)
        print(models.demo.about(), models.demo.warning(), flush=True)
        offered = extras(models.encoder, regions, arguments.templates)
        serve(build_page(models, offered), models.encoder, arguments)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
