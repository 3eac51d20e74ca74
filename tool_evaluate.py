"""Measure what a checkpoint's pictures are worth, or two checkpoints' side by side, on held-out items.

python tool_evaluate.py                        # after `make demo` or `make tryon`, on any CPU
python tool_evaluate.py runs/a/control.safetensors runs/b/control.safetensors --out runs/a_and_b
python tool_evaluate.py runs/sd15/control_best.safetensors --data training/fashion --limit 2048 \\
    --segmenter models/garments.safetensors --clip models/clip-vit-l-14 \\
    --inception models/pt_inception.pth
python tool_evaluate.py runs/tryon_dolls/tryon.safetensors \\
    --pairs training/tryon_dolls/test_unpaired.txt
python tool_evaluate.py runs/tryon_dolls/tryon.safetensors --sweep 1,1.5,2,2.5,3,4,5  # of guidance
python tool_evaluate.py runs/a/results.json runs/b/results.json      # what was measured before

OUT gets evaluation.html, pictures, and results.json, .csv and .md. The same command resumes. More:
docs/evaluating.md, docs/tryon.md
"""

from pathlib import Path

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add = parser.add_argument
    text = "One or two checkpoints, of try-on also folders of pictures. Without any, the newest in runs/."
    add("checkpoints", nargs="*", metavar="CHECKPOINT", help=text)
    parser.share("--data", default=None, help="The training folder, if not the checkpoint's own.")
    add("--split", help="Which of the folder's items are drawn. Without it val, of try-on val or test.")
    add("--pairs", type=Path, metavar="FILE", help='Of try-on: lines "person garment", if not their own.')
    parser.share("--limit", help="Take only N items, always the same ones.")
    parser.share("--num")
    parser.share("--segmenter", metavar="FILE", help="The judge of control mIoU, if not the run's own.")
    add("--clip", type=Path, metavar="DIR", help="A folder of open_clip: CLIP score, CLIP-I, FID and KID.")
    add("--inception", type=Path, metavar="FILE", help="Weights of Inception v3, for FID and KID.")
    add("--lpips", type=Path, metavar="FILE", help="Torchvision's VGG-16, AlexNet or SqueezeNet.")
    add("--dino", type=Path, metavar="FILE", help="Of try-on: weights of DINOv2, for its similarity.")
    parser.share("--sampling-steps")
    parser.share("--sampler", default=None, help="The sampler. Without it dpmpp_2m, of try-on ddim.")
    add("--repaint", metavar="HOW", help="Of try-on: none, each_step, paste or blend, if not the model's.")
    add("--protocol", metavar="NAME", help="Of try-on: catvton512 or voost1024, as papers measure.")
    add("--sweep", metavar="X,X", help="Of try-on: scales of guidance, each drawn from the same noise.")
    text = "The scale of guidance. Without it 7.5, 3 for the tiny model; of try-on the model's own."
    parser.share("--guidance", help=text)
    parser.share("--config", "--batch-size", "--device")
    add("--out", type=Path, default=Path("runs/evaluation"), metavar="OUT", help="The folder of results.")
    return parser.parse_args()


def of_maps(arguments, paths, device):
    """A function that evaluates controls into a folder."""
    from evaluation.backbones import choose_for_maps
    from evaluation.run import EvaluationRequest, evaluate, hold_out
    from tutorial_dataset import MyDataset

    request = EvaluationRequest.of_maps(arguments, paths, device)
    held_out = hold_out(request, MyDataset, arguments.limit)
    choice = choose_for_maps(arguments, paths[0], held_out.regions, device)
    return lambda out, progress: evaluate(request, held_out, choice, out, progress)


def of_fittings(arguments, paths, device):
    """A function that evaluates try-on into a folder."""
    from evaluation.backbones import choose_for_fittings
    from evaluation.fitting_run import evaluate_fittings, hold_out_fittings
    from evaluation.run import EvaluationRequest
    from tutorial_tryon_dataset import TryonDataset

    request = EvaluationRequest.of_fittings(arguments, paths, device)
    held_out = hold_out_fittings(request, TryonDataset, arguments.limit)
    choice = choose_for_fittings(arguments, held_out, device)
    return lambda out, progress: evaluate_fittings(request, held_out, choice, out, progress)


def run(arguments):
    from evaluation.checkpoints import choose_checkpoints, choose_data, is_of_tryon
    from evaluation.tables import compare_results
    from jobs.devices import pick_device
    from jobs.progress import Progress
    from jobs.whole_files import alone_in

    paths, out = choose_checkpoints(arguments.checkpoints), arguments.out
    if [path.suffix for path in paths] == [".json", ".json"]:
        print(compare_results(paths))
        return
    arguments.data = choose_data(arguments.data, paths[0])
    way = of_fittings if is_of_tryon(paths[0], arguments.config) else of_maps
    evaluate = way(arguments, paths, pick_device(arguments.device))
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        told = evaluate(out, Progress)
    print(f"{told}\n{out / 'evaluation.html'} shows pictures and numbers")


@entry_point(RESUMES)
def main():
    run(parse_arguments())


if __name__ == "__main__":
    main()
