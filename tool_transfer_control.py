"""Carry a trained control over to another base of the same family, such as a fine-tune of SD1.5.

python tool_transfer_control.py models/v1-5-pruned.safetensors runs/sd15/control.safetensors \\
    models/a_fine_tune_of_sd15.safetensors control_for_the_fine_tune.safetensors
python tool_transfer_control.py models/tiny/base.safetensors runs/dolls/control.safetensors \\
    models/tiny/base.safetensors moved.safetensors      # runs on any CPU; to its own base, so nothing changes
"""

import argparse
import sys
import time

DETAILS = """\
Each tensor of the control branch that was copied from the U-Net moves as its origin does: control + new base
- base. Zero convolutions and hint block stay. If BASE_WITH_CONTROL is a whole model, so is OUT, and all of it
but the control is NEW_BASE's; if it is a control branch alone, so is OUT. A decoder that was trained along
(sd_locked=false) moves too. BASE is what the training started from. OUT is never replaced.
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=DETAILS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", metavar="BASE", help="base that the control was trained on")
    parser.add_argument(
        "trained", metavar="BASE_WITH_CONTROL", help="what was trained: whole, or control alone"
    )
    parser.add_argument("new_base", metavar="NEW_BASE", help="base to carry it to")
    parser.add_argument("output", metavar="OUT", help="new file: .ckpt or .safetensors")
    parser.add_argument(
        "--dtype", choices=("fp32", "fp16", "bf16"), help="default: that of BASE_WITH_CONTROL"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    from cldm.weights.transfer import transfer

    start = time.time()
    try:
        report = transfer(
            arguments.base, arguments.trained, arguments.new_base, arguments.output, arguments.dtype
        )
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{report}\nDone in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
