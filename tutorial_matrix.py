"""Train a matrix of runs, one after the other, and compare them in one table and on one page. Resumes.

python tutorial_matrix.py models/matrices/parts.yaml --list       # its runs and their numbers
python tutorial_matrix.py models/matrices/parts.yaml
python tutorial_matrix.py models/matrices/parts.yaml --machine 2/4  # on the second of four machines
python tutorial_matrix.py models/matrices/parts.yaml --table      # of the runs that are there
python tutorial_matrix.py models/matrices/guidance.yaml           # drawings of one checkpoint

A matrix is a yaml of rows. Each row changes options of the training, or keys of the recipe, and is
trained once for each seed. A yaml that names a checkpoint trains nothing, and compares what it draws.
More: docs/tryon.md
"""

import sys

from jobs.command_line import RESUMES, Parser, entry_point


def parse_arguments():
    parser = Parser(__doc__)
    parser.add_argument("matrix", metavar="YAML", help="The matrix.")
    text = "Train the runs of these numbers alone. Without it, all are trained."
    parser.add_argument("--runs", metavar="N,N", default="", help=text)
    text = "Train every N-th run, beginning with the K-th: what one of N machines does."
    parser.add_argument("--machine", metavar="K/N", default="", help=text)
    parser.add_argument("--list", action="store_true", help="Print the runs, and train nothing.")
    parser.add_argument("--table", action="store_true", help="Write table and page, and train nothing.")
    return parser.parse_args()


@entry_point(RESUMES)
def main():
    arguments = parse_arguments()
    from learning.matrix import (
        Matrix,
        call,
        check_rows,
        choose_runs,
        read_drawings,
        steps_made,
        train_runs,
        write_results,
    )

    if command := read_drawings(arguments.matrix):
        print(*command[1:])
        sys.exit(0 if arguments.list else call(command))
    matrix = Matrix.read(arguments.matrix)
    numbers = [int(text) for text in arguments.runs.split(",") if text.strip()]
    runs = choose_runs(matrix, numbers, arguments.machine)
    if arguments.list:
        wanted = check_rows(matrix)
        for run in runs:
            steps = f"step {steps_made(run)} of {wanted[run.row.name].max_steps}"
            print(f"{run.number:3} {run.row.name}, seed {run.seed}: {steps}, {run.folder}")
        return
    failed = [] if arguments.table else train_runs(matrix, runs)
    print(f"page: {write_results(matrix).absolute()}")
    if failed:
        sys.exit(f"failed: run {', '.join(str(run.number) for run in failed)}; --runs N shows why")


if __name__ == "__main__":
    main()
