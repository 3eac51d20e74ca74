"""Graft a trainable control branch onto a Stable Diffusion checkpoint, once, before training.

python tool_add_control.py models/v1-5-pruned.safetensors models/control_sd15_ini.ckpt
python tool_add_control.py models/v2-1_512-ema-pruned.ckpt models/control_sd21_ini.ckpt
python tool_add_control.py                  # SD1.5 if it is in models/, else the tiny base: runs on any CPU
"""

import argparse
import sys
import time

DETAILS = """\
The locked parts keep the dtype they have in INPUT; the control branch, which training changes, is float32.
INPUT is read without executing anything in it. OUTPUT is a bare state dict with every tensor of the yaml's
model, written completely or not at all; an existing OUTPUT is never replaced.
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=DETAILS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "input", nargs="?", metavar="INPUT", help="base: .ckpt or .safetensors in LDM's layout"
    )
    parser.add_argument("output", nargs="?", metavar="OUTPUT", help="new file: .ckpt or .safetensors")
    parser.add_argument(
        "--config", metavar="YAML", help="model of OUTPUT (default: the yaml of INPUT's family)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the hint block's first weights (default: 0)")
    arguments = parser.parse_args()
    if arguments.input and not arguments.output:
        parser.error("give INPUT and OUTPUT, or neither")
    return arguments


def main():
    arguments = parse_arguments()
    from cldm.weights.graft import NOTES, add_control, default_files

    base, output = arguments.input, arguments.output
    if base is None:
        base, output, hint = default_files()
        print(hint)
    start = time.time()
    try:
        family, report = add_control(base, output, arguments.config, arguments.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{base}: {family}")
    if family in NOTES:
        print(NOTES[family])
    print(report)
    print(f"Done: {output} in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
