"""Measure what a control's pictures are worth, or two controls' side by side, on held-out maps.

python tool_evaluate.py                        # after `make demo`: its control, on any CPU
python tool_evaluate.py runs/a/control.safetensors runs/b/control.safetensors --out runs/a_and_b
python tool_evaluate.py runs/sd15/control_best.safetensors --data training/fashion --limit 2048 \\
    --segmenter models/garments.safetensors --clip models/clip-vit-l-14 \\
    --inception models/pt_inception.pth

OUT gets evaluation.html, sheet.png, the pictures, and results.json, .csv and .md. Run the same
command again to resume. More: docs/evaluating.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add = parser.add_argument
    text = "One trained control, or two to compare. Without any, the newest in runs/ is taken."
    add("controls", nargs="*", metavar="CONTROL", help=text)
    parser.share("--data")
    add("--split", default="val", help="Which of the folder's items are drawn.")
    parser.share("--limit", help="Take only N items, always the same ones.")
    parser.share("--num")
    text = "The judge of control mIoU. Without it, that of the control's run is taken."
    parser.share("--segmenter", metavar="FILE", help=text)
    add("--clip", type=Path, metavar="DIR", help="A folder of open_clip, for CLIP score, FID and KID.")
    add("--inception", type=Path, metavar="FILE", help="Weights of Inception v3, for FID and KID.")
    add("--lpips", type=Path, metavar="FILE", help="Torchvision's VGG-16 or AlexNet, for LPIPS.")
    parser.share("--sampling-steps", "--sampler", "--guidance", "--config", "--batch-size", "--device")
    add("--out", type=Path, default=Path("runs/evaluation"), metavar="OUT", help="The folder of results.")
    return parser.parse_args()


def choose(arguments, paths, names, device):
    """The Choice of gauges that the given files allow."""
    from annotator.segment import load_judge
    from evaluation.backbones import Choice
    from evaluation.checkpoints import find_run_segmenter
    from generation.control_files import digest

    choice, judge, clip, table = Choice(), None, None, arguments.data / "regions.yaml"
    names = names if table.is_file() else None
    if (file := arguments.segmenter or find_run_segmenter(paths[0])) and names:
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
    from evaluation.checkpoints import choose_checkpoints
    from evaluation.held_out import HeldOut, check_split
    from evaluation.run import EvaluationRequest, evaluate, read_regions
    from jobs.devices import pick_device
    from jobs.progress import Progress
    from jobs.whole_files import alone_in
    from tutorial_dataset import MyDataset

    paths, device, out = choose_checkpoints(arguments.controls), pick_device(arguments.device), arguments.out
    request = EvaluationRequest.of(arguments, paths, device)
    regions = read_regions(arguments.data, paths[0])
    check_split(MyDataset(arguments.data).data, arguments.data, arguments.split)
    held_out = HeldOut(MyDataset(arguments.data, arguments.split), regions, arguments.limit)
    choice = choose(arguments, paths, regions and regions.names, device)
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        told = evaluate(request, held_out, choice, out, Progress)
    print(f"{told}\n{out / 'evaluation.html'} shows pictures and numbers")


@entry_point(RESUMES)
def main():
    run(parse_arguments())


if __name__ == "__main__":
    main()
