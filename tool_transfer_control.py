"""Carry a trained control over to another base of the same family, such as a fine-tune of SD1.5.

python tool_transfer_control.py models/v1-5-pruned.safetensors runs/sd15/control.safetensors \\
    models/a_fine_tune_of_sd15.safetensors control_for_the_fine_tune.safetensors
python tool_transfer_control.py models/tiny/base.safetensors runs/dolls/control.safetensors \\
    models/tiny/base.safetensors moved.safetensors     # on any CPU, to its own base
"""

import time

from jobs.command_line import LEFT_NOTHING, Parser, entry_point
from jobs.progress import duration

DETAILS = """\
Each tensor of the control branch that was copied from the U-Net moves as its origin does: control +
new base - base. Zero convolutions and hint block stay. If BASE_WITH_CONTROL is a whole model, so is
OUT, and all of it but the control is NEW_BASE's. If it is a control branch alone, so is OUT. A
decoder that was trained along (sd_locked=false) moves too. BASE is what the training started from.
OUT never replaces a file.
"""


def parse_arguments():
    parser = Parser(__doc__, DETAILS)
    add = parser.add_argument
    add("base", metavar="BASE", help="The base that the control was trained on.")
    add("trained", metavar="BASE_WITH_CONTROL", help="What was trained: a whole model, or a control alone.")
    add("new_base", metavar="NEW_BASE", help="The base to carry it to.")
    add("output", metavar="OUT", help="The new file: .ckpt or .safetensors.")
    text = "The type of the numbers that are written. Without it, that of BASE_WITH_CONTROL."
    parser.share("--dtype", help=text)
    return parser.parse_args()


@entry_point(LEFT_NOTHING)
def main():
    arguments = parse_arguments()
    from cldm.weights.transfer import transfer

    start = time.time()
    report = transfer(
        arguments.base, arguments.trained, arguments.new_base, arguments.output, arguments.dtype
    )
    print(f"{report}\nDone in {duration(time.time() - start)}")


if __name__ == "__main__":
    main()
