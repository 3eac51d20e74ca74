"""Make a training folder from raw photos and annotations; run the same command again to resume.

python tool_prepare_data.py data/dolls training/dolls --size 128     # a minute on a CPU
python tool_prepare_data.py data/imaterialist training/fashion       # Kaggle's iMaterialist 2019
python tool_prepare_data.py data/imaterialist training/fashion --threshold greyscale=off \\
    --cache models/control_sd15_ini.ckpt

RAW is one of these:
{kinds}

OUT gets source/ (maps), target/ (photos), prompt.json, and report.html: look at that first. What
can't be used is listed in rejected.csv, what the checks below leave out in left_out.jsonl, with the
reasons. Thresholds, prompts, splits and exports may change when the command runs again. Maps may
be corrected by hand.

Checks, with their thresholds (--threshold NAME=VALUE, or NAME=off):
{checks}
"""

from pathlib import Path

from jobs.command_line import DTYPES, RESUMES, Parser, entry_point


def parse_arguments():
    from preparation.checks import CHECKS
    from preparation.options import add_arguments
    from preparation.sources import KINDS

    checks = "\n".join(f"  {c.name + '=' + format(c.default, 'g'):<30}{c.meaning}" for c in CHECKS.values())
    parser = Parser(__doc__.format(kinds=KINDS, checks=checks))
    parser.add_argument("raw", metavar="RAW", help="The raw data.")
    parser.add_argument("out", metavar="OUT", help="The training folder to make, or to go on with.")
    add_arguments(parser)
    add = parser.add_argument_group("latents and prompts computed once, for faster training").add_argument
    add("--cache", metavar="MODEL", help="Compute them by this checkpoint, the one that will be trained.")
    text = "The yaml of its model. Without it, the checkpoint says which, or its tensors do."
    add("--cache-config", metavar="YAML", help=text)
    text = "The type of the latents' numbers."
    add("--cache-dtype", default="fp16", choices=tuple(DTYPES), help=text)
    add("--cache-flips", action="store_true", help="Compute those of mirrored pictures, too.")
    text = "How many pictures are computed at once."
    add("--cache-batch-size", type=int, default=4, metavar="N", help=text)
    return parser.parse_args()


@entry_point(RESUMES)
def main():
    arguments = parse_arguments()
    from jobs.whole_files import alone_in
    from preparation import prepare_folder
    from preparation.options import from_arguments

    for name in ("cache", "cache_config"):
        path = getattr(arguments, name)
        if path is not None and not Path(path).is_file():
            raise FileNotFoundError(f"--{name.replace('_', '-')} {path} does not exist")
    if arguments.cache_batch_size < 1:
        raise ValueError(f"--cache-batch-size must be at least 1, got {arguments.cache_batch_size}")
    if arguments.cache:
        from batches.cache.encoders import is_recipe
        from preparation.fittings import is_fittings

        # before the long work, as it may ask for a yaml
        fits = is_recipe(arguments.cache, arguments.cache_config)
        if fits and not is_fittings(Path(arguments.raw)):
            raise ValueError(f"--cache-config is a try-on recipe, {arguments.raw} has no garments")
    summary = prepare_folder(arguments.raw, arguments.out, from_arguments(arguments))
    if not summary["pictures"]["kept"]:
        raise ValueError(f"no picture is left to train on: {arguments.out}/report.html shows why")
    if arguments.cache:
        from batches.cache.build import build_cache
        from tutorial_dataset import MyDataset
        from tutorial_tryon_dataset import TryonDataset

        with alone_in(Path(arguments.out)):
            build_cache(
                (TryonDataset if fits else MyDataset)(arguments.out),
                arguments.cache,
                config=arguments.cache_config,
                dtype=DTYPES[arguments.cache_dtype],
                flips=arguments.cache_flips,
                batch_size=arguments.cache_batch_size,
            )


if __name__ == "__main__":
    main()
