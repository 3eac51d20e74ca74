"""The fitting room: a person's photo and a garment's in the browser, and the person in the garment.

python gradio_tryon.py                      # the newest try-on checkpoint in runs/, drawn people
python gradio_tryon.py --checkpoint runs/tryon_dolls/tryon.safetensors --port 7861
python gradio_tryon.py --people training/vitonhd --garments shop/garments \\
    --segmenter models/annotators/segformer_b2_clothes --pose models/annotators
"""

from pathlib import Path

from jobs.command_line import Parser, entry_point

FINDER_OF_DOLLS = "models/tiny/segmenter.safetensors"


def parse_arguments():
    parser = Parser(__doc__)
    add, folder = parser.add_argument, dict(type=Path, metavar="DIR")
    text = "A trained try-on checkpoint. Without one, the newest in runs/ is taken."
    add("--checkpoint", type=Path, metavar="FILE", help=text)
    parser.share("--config", "--base")
    text = "{} to choose from: a prepared training folder, or a folder of pictures. Without it, {}."
    add("--people", help=text.format("People", "drawn ones"), **folder)
    text = text.format("Garments", "drawn ones") + " Pictures may lie in upper/, lower/ and dress/."
    add("--garments", help=text, **folder)
    text = "A control of the same base, trained on region maps, to draw the silhouette of a map."
    add("--control", type=Path, metavar="FILE", help=text)
    text = "What finds the parts of people in photos. Dolls of the tiny model have one of their own."
    parser.share("--segmenter", help=text)
    text = "What finds poses in photos: the folder of body_pose_model.pth, or mediapipe's wheel."
    add("--pose", metavar="PATH", help=text)
    parser.share("--host", "--port", "--share", "--queue", "--device")
    return parser.parse_args()


@entry_point("stopped")
def main():
    arguments = parse_arguments()
    print("Loading; this takes some seconds ...", flush=True)
    from demo.start import prepare_server

    prepare_server()
    from functools import partial

    from demo.serve import serve
    from demo.tryon.finding import load_finder
    from demo.tryon.offers import gather_offers
    from demo.tryon.page import build_page, page_style
    from demo.tryon.room import find_checkpoint, load_room
    from jobs.devices import pick_device

    checkpoint, device = find_checkpoint(arguments.checkpoint), pick_device(arguments.device)
    finder = load_finder(arguments.segmenter, arguments.pose, FINDER_OF_DOLLS, device)
    offers = partial(gather_offers, arguments.people, arguments.garments)
    options = {name: getattr(arguments, name) for name in ("config", "base", "control")}
    room = load_room(checkpoint, offers, finder, device, **options)
    print("\n".join([room.name(), *room.loaded.notes]), flush=True)
    place = {name: getattr(arguments, name) for name in ("host", "port", "queue", "share")}
    serve(build_page(room), page_style(), **place)


if __name__ == "__main__":
    main()
