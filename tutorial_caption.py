"""Caption the pictures of a training folder; run the same command again to resume.

python tutorial_caption.py training/dolls --captioner attributes         # a minute on a CPU, no weights
python tutorial_caption.py training/fashion --captioner kosmos2 --weights models/kosmos2 --dtype bfloat16
python tutorial_caption.py training/fashion --captioner kosmos2,clip_interrogator \\
    --weights models/kosmos2,models/clip clip_interrogator.start=kosmos2   # one after the other
python tutorial_caption.py training/fashion --report                     # captions/report.html anew, no more

FOLDER has a prompt.json, as tool_prepare_data.py writes it, or fill50k. Each captioner fills a column of it,
captions[COLUMN], and changes no other; what training reads is chosen by tool_prepare_data.py --prompt COLUMN.
Every batch is kept in FOLDER/captions/COLUMN as soon as it is there. docs/captions.md says more.

Options of the captioners, as KEY=VALUE, or NAME.KEY=VALUE where several captioners have one of that name:
{options}
"""

import argparse
import sys

from jobs.resumable import resumable


def parse_arguments():
    from annotator.caption.captioners import CAPTIONERS, describe_captioners

    options = "\n".join("  " + line for line in describe_captioners().splitlines())
    parser = argparse.ArgumentParser(
        description=__doc__.replace("{options}", options),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(CAPTIONERS)
    parser.add_argument("folder", metavar="FOLDER", help="training folder")
    parser.add_argument(
        "options",
        nargs="*",
        metavar="KEY=VALUE",
        help="options of the captioners, see above; of one given twice the last counts",
    )
    parser.add_argument("--captioner", metavar="NAME[,NAME]", help=f"one or more of {names}")
    parser.add_argument(
        "--weights", metavar="DIR[,DIR]", help="local folder of each that needs one, in order"
    )
    parser.add_argument("--column", metavar="NAME", help="column to write (default: the captioner's name)")
    parser.add_argument("--batch-size", type=int, default=8, help="pictures at once (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes that read pictures (default: %(default)s)"
    )
    parser.add_argument("--devices", type=int, help="of this machine (default: all accelerators)")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument(
        "--accelerator", default="auto", help="auto, cpu, gpu, mps, ... (default: %(default)s)"
    )
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 of the weights")
    parser.add_argument(
        "--min-agreement",
        type=float,
        metavar="X",
        help="leave out captions whose boxes agree less with the map",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="caption N more pictures, then stop")
    parser.add_argument(
        "--report", action="store_true", help="without a captioner: write the report, no more"
    )
    return parser.parse_intermixed_args()


def main():
    resumable()
    arguments = parse_arguments()
    from preparation.captions.command_line import make_jobs
    from preparation.captions.report import write_report
    from preparation.captions.run import caption_folder
    from preparation.captions.table_columns import Table

    try:
        if arguments.report and not arguments.captioner:
            return print(f"report: {write_report(Table(arguments.folder))}")
        jobs = make_jobs(arguments)
        for job in jobs:
            job.check()
        for job in jobs:
            caption_folder(job)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
