"""Draw items of a dataset to a PNG, picture and map side by side, and check their ranges.

python tutorial_dataset_test.py                              # training/dolls -> dataset.png
python tutorial_dataset_test.py training/fill50k --out fill50k.png --limit 16
python tutorial_dataset_test.py pairs.jsonl                  # or a folder with images/ and masks/
python tutorial_dataset_test.py training/fashion --prompts mixed     # prompts and their lengths
"""

from collections import Counter
from pathlib import Path
from textwrap import shorten

from jobs.command_line import LEFT_NOTHING, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    add = parser.add_argument
    add("data", nargs="?", default="training/dolls", metavar="DATA", help="The training folder.")
    add("--out", default="dataset.png", metavar="FILE", help="The PNG to write.")
    parser.share("--limit", help="Take N items, evenly spread. The default is 8, or 20 with --prompts.")
    text = "Print what this policy, of models/prompts or a yaml, makes of the lines, and draw nothing."
    add("--prompts", metavar="NAME", help=text)
    text = "The yaml of the model whose tokens are counted."
    parser.share("--config", default="models/cldm_v15.yaml", help=text)
    arguments = parser.parse_args()
    arguments.limit = (20 if arguments.prompts else 8) if arguments.limit is None else arguments.limit
    if arguments.limit < 1:
        parser.error(f"--limit must be at least 1, got {arguments.limit}")
    return arguments


def check(item, index):
    """Raise if an item is not what training takes."""
    jpg, hint = item["jpg"], item["hint"]
    for name, array, low in (("jpg", jpg, -1.0), ("hint", hint, 0.0)):
        if array.dtype != "float32" or array.ndim != 3 or array.min() < low or array.max() > 1.0:
            raise ValueError(
                f"item {index}: {name} must be float32 (H, W, c) in [{low:g}, 1], "
                f"got {array.dtype} {array.shape} in [{array.min():g}, {array.max():g}]"
            )
    if jpg.shape[:2] != hint.shape[:2] or any(side % 64 for side in jpg.shape[:2]):
        raise ValueError(
            f"item {index}: sides must be equal multiples of 64, got {jpg.shape} and {hint.shape}; "
            "tool_prepare_data.py makes them so"
        )
    if not isinstance(item["txt"], str):
        raise ValueError(f"item {index}: txt must be text, got {item['txt']!r}")


def draw(items, path):
    """A row per item: picture, map, prompt."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2 * len(items)), layout="constrained")
    axes = figure.subplots(len(items), 3, squeeze=False, width_ratios=(1, 1, 2))
    for row, item in zip(axes, items, strict=True):
        row[0].imshow((item["jpg"] + 1) / 2)
        row[1].imshow(item["hint"])
        row[2].text(0, 0.5, shorten(item["txt"], 400), wrap=True, va="center", parse_math=False)
        for cell in row:
            cell.axis("off")
    figure.savefig(path, format="png", dpi=100)


@entry_point(LEFT_NOTHING)
def main():
    arguments = parse_arguments()
    from batches.map_checks import check_maps
    from pictures.hint import find_encoder
    from tutorial_dataset import MyDataset

    if Path(arguments.data, "train.csv").exists():
        remedy = f"python tool_prepare_data.py {arguments.data} training/{Path(arguments.data).name}"
        raise ValueError(f"{arguments.data} is raw iMaterialist data; prepare it first: {remedy}")
    dataset = MyDataset(arguments.data)
    if arguments.prompts:
        from batches.mixed_prompts import preview

        print(preview(dataset.data, arguments.prompts, arguments.config, arguments.limit))
        return
    step = max(1, len(dataset) // arguments.limit)
    items = {i: dataset[i] for i in range(0, len(dataset), step)[: arguments.limit]}
    for index, item in items.items():
        check(item, index)
    draw(items.values(), arguments.out)
    check_maps(dataset, find_encoder(dataset.folder))
    counts = Counter(filter(None, dataset.sizes)).most_common()
    sizes = ", ".join(f"{h} x {w}: {number}" for (h, w), number in counts)
    print(f"sizes (height x width): {sizes or 'the lines do not say'}")
    print(f"{len(dataset)} items; drew {len(items)} to {arguments.out}")
    print(f"the first: jpg {items[0]['jpg'].shape}, hint {items[0]['hint'].shape}, txt {items[0]['txt']!r}")


if __name__ == "__main__":
    main()
