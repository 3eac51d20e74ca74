"""What a checkpoint's pictures are worth, or two side by side, on held-out maps; run it again to resume.

python tool_evaluate.py                                # after `make demo`: its control, on any CPU
python tool_evaluate.py runs/a/control.safetensors runs/b/control.safetensors --out runs/a_and_b
python tool_evaluate.py runs/sd15/control_best.safetensors --data training/fashion --num 2048 \\
    --segmenter models/garments.safetensors --clip models/clip-vit-l-14 --inception models/pt_inception.pth

OUT gets evaluation.html, sheet.png, results.json, .csv and .md, and the pictures. More: docs/evaluating.md
"""

import argparse
import sys
from pathlib import Path

from jobs.resumable import resumable


def parse_arguments():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add, shown = parser.add_argument, "(default: %(default)s)"
    add("controls", nargs="*", metavar="CONTROL", help="one checkpoint or two (default: the newest in runs/)")
    add("--data", type=Path, default="training/dolls", metavar="DIR", help=f"training folder {shown}")
    add("--split", default="val", help=f"which of its items {shown}")
    add("--num", type=int, metavar="N", help="only N items, drawn with a fixed seed")
    add("--seeds", type=int, default=3, help=f"pictures an item {shown}")
    add("--segmenter", metavar="FILE", help="judge of control mIoU (default: the one of the control's run)")
    add("--clip", type=Path, metavar="DIR", help="folder of open_clip, for CLIP score, FID and KID")
    add("--inception", type=Path, metavar="FILE", help="weights of Inception v3, for FID and KID")
    add("--lpips", type=Path, metavar="FILE", help="torchvision's VGG-16 or AlexNet, for LPIPS")
    add("--steps", type=int, default=20, help=shown[1:-1])
    add("--sampler", default="dpmpp_2m", help=f"ddim or dpmpp_2m {shown}")
    add("--scale", type=float, help="classifier-free guidance (default: 7.5, for the tiny model 3)")
    add("--config", metavar="YAML", help="model of the controls (default: what they say)")
    add("--batch-size", type=int, default=8, help=f"pictures at once {shown}")
    add("--device", default="auto", help=f"auto, cpu, mps, ... {shown}")
    add("--out", type=Path, default="runs/evaluation", metavar="OUT", help=f"folder of results {shown}")
    return parser.parse_args()


def choose(arguments, paths, names, device):
    """The Choice of gauges that the given files allow."""
    from annotator.segment import load_judge
    from evaluation.backbones import Choice
    from evaluation.checkpoints import run_segmenter
    from generation.control_files import digest

    choice, judge, clip, table = Choice(), None, None, arguments.data / "regions.yaml"
    names = names if table.is_file() else None
    if (file := arguments.segmenter or run_segmenter(paths[0])) and names:
        judge = load_judge(file, table, device)
    choice.regions(judge and judge.segment, names, judge and dict(file=str(file), sha256=digest(file)))
    choice.likeness(arguments.lpips, device)
    choice.features(arguments.inception, device)
    if folder := arguments.clip:
        from annotator.caption.clip_model import Clip

        clip = Clip.load(folder, device)
    facts = folder and dict(folder=str(folder), sha256=digest(folder), pictures="padded to a square")
    choice.clip(clip, folder and f"CLIP {folder.name}", facts)
    return choice


def run(arguments):
    from cldm.weights.load import pick_device
    from evaluation.checkpoints import named_or_newest
    from evaluation.held_out import HeldOut, check_split
    from evaluation.run import Request, evaluate, read_regions
    from jobs.progress import Progress
    from jobs.whole_files import alone_in
    from tutorial_dataset import MyDataset

    paths, device, out = named_or_newest(arguments.controls), pick_device(arguments.device), arguments.out
    request = Request.of(arguments, paths, device)
    regions = read_regions(arguments.data, paths[0])
    check_split(MyDataset(arguments.data).data, arguments.data, arguments.split)
    held_out = HeldOut(MyDataset(arguments.data, arguments.split), regions, arguments.num)
    choice = choose(arguments, paths, regions and regions.names, device)
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        told = evaluate(request, held_out, choice, out, Progress)
    print(f"{told}\n{out / 'evaluation.html'} shows pictures and numbers")


def main():
    resumable()
    try:
        run(parse_arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
