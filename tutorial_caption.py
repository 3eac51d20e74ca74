"""Caption the pictures of a training folder; run the same command again to resume.

python tutorial_caption.py training/dolls --captioner attributes    # a minute on a CPU, no weights
python tutorial_caption.py training/fashion --captioner kosmos2 --weights models/kosmos2 \\
    --dtype bf16
python tutorial_caption.py training/fashion --captioner kosmos2,clip_interrogator \\
    --weights models/kosmos2,models/clip --start kosmos2            # one after the other
python tutorial_caption.py training/fashion --report                # captions/report.html anew

FOLDER has a prompt.json, as tool_prepare_data.py writes it, or fill50k. Each captioner fills a column
of it, captions[COLUMN], and changes no other. What training reads is chosen by
tool_prepare_data.py --prompt COLUMN. Every batch is kept in FOLDER/captions/COLUMN as soon as it is
there. More: docs/captions.md

The options of a captioner can be given without its name, such as mode=fast or --mode fast, where it
is the only one of several that has an option of that name.
"""

from jobs.command_line import RESUMES, Parser, entry_point
from jobs.options import add_options


def parse_arguments():
    from annotator.caption.captioners import CAPTIONERS

    parser = Parser(__doc__)
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="The training folder.")
    text = f"One or more of {', '.join(CAPTIONERS)}."
    add("--captioner", metavar="NAME[,NAME]", help=text)
    text = "The local folder of each captioner that needs one, in their order."
    parser.share("--weights", metavar="DIR[,DIR]", help=text)
    text = "The column to write. Without it, the captioner's name."
    add("--column", metavar="NAME", help=text)
    parser.share("--batch-size", "--devices", "--num-nodes")
    parser.share(
        "--workers", help="How many processes read pictures. Without it, one for each core, 16 at most."
    )
    parser.share("--device", help="Where captioners run: auto, cpu, cuda, mps and so on.")
    parser.share("--dtype", default="fp32", help="The type of the weights' numbers.")
    text = "Leave out captions whose boxes agree less with the map, from 0 to 1."
    add("--min-agreement", type=float, metavar="X", help=text)
    parser.share("--limit", help="Caption N more pictures, then stop.")
    text = "Without a captioner: write the report, and nothing else."
    add("--report", action="store_true", help=text)
    for name, entry in CAPTIONERS.items():
        add_options(parser.add_argument_group(f"options of {name}"), entry.options, prefix=f"{name}.")
        add_options(parser, entry.options, hidden=True)
    return parser.parse_args()


@entry_point(RESUMES)
def main():
    arguments = parse_arguments()
    from preparation.captions.command_line import make_jobs
    from preparation.captions.report import write_report
    from preparation.captions.run import caption_folder
    from preparation.captions.table_columns import Table

    if arguments.report and not arguments.captioner:
        print(f"report: {write_report(Table(arguments.folder))}")
        return
    jobs = make_jobs(arguments)
    for job in jobs:
        job.check()
    for job in jobs:
        caption_folder(job)


if __name__ == "__main__":
    main()
