"""Paint, upload or pick a garment map in the browser and get pictures that follow it.

python gradio_seg2image.py                    # the newest control, else the tiny model, on any CPU
python gradio_seg2image.py --control runs/dolls/control.safetensors --port 7861
python gradio_seg2image.py --control runs/sd15/control.safetensors --models runs/sd15 \\
    --control pose.safetensors:0.8:0-0.6 --segmenter u2net.pth
"""

from pathlib import Path

from jobs.command_line import Parser, entry_point
from jobs.shipped import find_shipped

JUDGE_OF_DOLLS = "models/tiny/segmenter.safetensors"


def parse_arguments():
    parser = Parser(__doc__)
    add, folder = parser.add_argument, dict(type=Path, metavar="DIR")
    form = "FILE[:STRENGTH[:START-END]][:guess]"
    text = "A trained control, the newest in runs/ without any. Further ones add up, with maps of their own."
    parser.share("--control", action="append", default=[], metavar=form, help=text)
    parser.share("--base", "--config")
    add("--models", help="A folder of further controls or models to choose from on the page.", **folder)
    text = "What finds garments in photos and judges pictures. The tiny model has one of its own."
    parser.share("--segmenter", help=text)
    add("--templates", help="A folder of maps to offer. Without it, templates, if there is one.", **folder)
    text = "Draw pictures one by one. On a GPU, keep only that part of the model there which is at work."
    add("--low-memory", action="store_true", help=text)
    parser.share("--host", "--port", "--share", "--queue", "--device")
    return parser.parse_args()


def segmenter_finder(path, device):
    """A Demo -> load_finder's functions: of `path`, or for the tiny model's dolls of the shipped one."""

    def find(demo):
        from annotator.segment import load_finder
        from pictures.regions import standard_regions

        dolls = demo.native_size < 256 and demo.encoder.names == standard_regions().names
        if path is None and not (dolls and find_shipped(JUDGE_OF_DOLLS).is_file()):
            return None, None
        return load_finder(path or JUDGE_OF_DOLLS, demo.encoder.names, device)

    return find


@entry_point("stopped")
def main():
    arguments = parse_arguments()
    print("Loading; this takes some seconds ...", flush=True)
    from demo.start import prepare_server

    prepare_server()
    from demo.garments.loading import Loader, Models
    from demo.garments.offers import gather_extras
    from demo.garments.page import build_page, page_style
    from demo.serve import serve
    from jobs.devices import pick_device
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    regions = HintEncoder.from_file(REGIONS_FILE)
    device = pick_device(arguments.device)
    first, *further = arguments.control or [None]
    options = arguments.config, further, arguments.low_memory, arguments.base
    finder = segmenter_finder(arguments.segmenter, device)
    models = Models(Loader(device, regions, *options), finder, first, arguments.models)
    print(f"Model: {models.demo.source}.", models.demo.warning(), flush=True)
    offered = gather_extras(models.encoder, regions, arguments.templates)
    place = {name: getattr(arguments, name) for name in ("host", "port", "queue", "share")}
    serve(build_page(models, offered), page_style(models.encoder), **place)


if __name__ == "__main__":
    main()
