"""Make a training folder from raw photos and annotations; run the same command again to resume.

python tool_prepare_data.py data/dolls training/dolls --size 128     # a minute on a CPU
python tool_prepare_data.py data/imaterialist training/fashion       # Kaggle's iMaterialist (Fashion) 2019
python tool_prepare_data.py data/imaterialist training/fashion --threshold greyscale=off --cache CHECKPOINT

RAW is one of these:
{kinds}

OUT gets source/ (maps), target/ (photos), prompt.json, and report.html: look at that first. What can't be
used is listed in rejected.csv, what the checks below leave out in left_out.jsonl, with the reasons.
Thresholds, prompts, splits and exports may change when the command runs again; so may maps, by hand.

Checks, with their thresholds (--threshold NAME=VALUE, or NAME=off):
{checks}
"""

import argparse
import sys
from pathlib import Path

from jobs.resumable import resumable


def parse_arguments():
    from preparation.checks import CHECKS
    from preparation.options import add_arguments
    from preparation.sources import KINDS

    checks = "\n".join(f"  {c.name + '=' + format(c.default, 'g'):<30}{c.meaning}" for c in CHECKS.values())
    parser = argparse.ArgumentParser(
        description=__doc__.format(kinds=KINDS, checks=checks),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("raw", metavar="RAW", help="raw data")
    parser.add_argument("out", metavar="OUT", help="training folder to make or to go on with")
    add_arguments(parser)
    cache = parser.add_argument_group("latents and prompts computed once, for faster training")
    cache.add_argument("--cache", metavar="MODEL", help="checkpoint that will be trained")
    cache.add_argument("--cache-config", metavar="YAML", help="its model yaml (default: by the checkpoint)")
    dtypes = ("float16", "bfloat16", "float32")
    cache.add_argument(
        "--cache-dtype", default="float16", choices=dtypes, help="of the latents (default: %(default)s)"
    )
    cache.add_argument("--cache-flips", action="store_true", help="mirrored pictures, too")
    cache.add_argument("--cache-batch-size", type=int, default=8, help="(default: %(default)s)")
    return parser.parse_args()


def main():
    resumable()
    arguments = parse_arguments()
    from jobs.whole_files import alone_in
    from preparation import prepare_folder
    from preparation.options import from_arguments

    try:
        for name in ("cache", "cache_config"):
            path = getattr(arguments, name)
            if path is not None and not Path(path).is_file():
                raise FileNotFoundError(f"--{name.replace('_', '-')} {path} does not exist")
        if arguments.cache_batch_size < 1:
            raise ValueError(f"--cache-batch-size must be at least 1, got {arguments.cache_batch_size}")
        summary = prepare_folder(arguments.raw, arguments.out, from_arguments(arguments))
        if not summary["pictures"]["kept"]:
            raise ValueError(f"no picture is left to train on: {arguments.out}/report.html shows why")
        if arguments.cache and "fittings" in summary:
            raise ValueError("--cache is of controls: a try-on's training reads its pictures")
        if arguments.cache:
            from batches.cache.build import build_cache
            from tutorial_dataset import MyDataset

            with alone_in(Path(arguments.out)):
                build_cache(
                    MyDataset(arguments.out),
                    arguments.cache,
                    config=arguments.cache_config,
                    dtype=arguments.cache_dtype,
                    flips=arguments.cache_flips,
                    batch_size=arguments.cache_batch_size,
                )
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
