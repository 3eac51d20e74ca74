"""Graft what trains onto a Stable Diffusion checkpoint: a control branch, or a try-on recipe's parts.

python tool_add_control.py models/v1-5-pruned.safetensors models/control_sd15_ini.ckpt
python tool_add_control.py models/v2-1_512-ema-pruned.ckpt models/control_sd21_ini.ckpt
python tool_add_control.py models/v1-5-pruned.safetensors models/ootd_ini.ckpt \\
    --config models/tryon_ootd.yaml
python tool_add_control.py        # SD1.5 if it is in models/, else the tiny base, on any CPU
"""

import time

from jobs.command_line import LEFT_NOTHING, Parser, entry_point
from jobs.progress import duration

DETAILS = """\
Parts that are taken over unchanged keep the dtype that they have in INPUT. Copied and new ones,
such as the control branch, are float32. A try-on recipe that repaints begins with the first
convolution of a repainting.safetensors beside INPUT, if there is one. INPUT is read without
executing anything in it. OUTPUT is a bare state dict with every tensor of the yaml's model. It is
written completely or not at all, and never replaces a file.
"""


def parse_arguments():
    parser = Parser(__doc__, DETAILS)
    add = parser.add_argument
    add("input", nargs="?", metavar="INPUT", help="The base: a .ckpt or .safetensors file in LDM's layout.")
    add("output", nargs="?", metavar="OUTPUT", help="The new file: .ckpt or .safetensors.")
    parser.share("--config", help="The yaml of OUTPUT's model. Without it, that of INPUT's family is taken.")
    parser.share("--seed", help="What new weights that are not zero are drawn from, as in the hint block.")
    add(
        "--part",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="Weights for a part of a try-on recipe, such as garment_encoder. It can be given several times.",
    )
    arguments = parser.parse_args()
    if arguments.input and not arguments.output:
        parser.error("give INPUT and OUTPUT, or neither")
    return arguments


@entry_point(LEFT_NOTHING)
def main():
    arguments = parse_arguments()
    from cldm.weights.graft import NOTES, add_control, default_files

    base, output = arguments.input, arguments.output
    if base is None:
        base, output, hint = default_files()
        output.parent.mkdir(exist_ok=True)
        print(hint)
    start = time.time()
    parts = dict(part.partition("=")[::2] for part in arguments.part)
    family, report = add_control(base, output, arguments.config, arguments.seed, parts)
    print(f"{base}: {family}")
    if family in NOTES:
        print(NOTES[family])
    print(report)
    print(f"Done: {output} in {duration(time.time() - start)}")


if __name__ == "__main__":
    main()
