"""Convert weights: .ckpt, .safetensors and diffusers' folders, whole models or a control alone.

python tool_convert.py models/tiny/base.safetensors models/tiny_diffusers      # runs on any CPU
python tool_convert.py models/tiny_diffusers models/tiny_again.safetensors     # the same tensors
python tool_convert.py runs/dolls/control.safetensors doll_control        # a ControlNetModel
python tool_convert.py runs/sd15/control.safetensors garments.safetensors --dtype fp16
python tool_convert.py runs/dolls/control_best.safetensors doll_hub --card     # for a hub
python tool_convert.py runs/sd15/control.safetensors whole.safetensors \\
    --full models/v1-5-pruned.safetensors
"""

import time

from jobs.command_line import LEFT_NOTHING, Parser, entry_point
from jobs.progress import duration

DETAILS = """\
Every tensor keeps its bits, unless --dtype rounds it. Metadata go along. INPUT is read without
executing anything in it. A control branch may have the names of this project, of lllyasviel's files
or of diffusers. INPUT must be complete: a whole model, with or without a control branch, or a whole
control branch. OUTPUT is written completely or not at all, and never replaces a file.
More: docs/formats.md
"""


def parse_arguments():
    parser = Parser(__doc__, DETAILS)
    add = parser.add_argument
    add("input", metavar="INPUT", help="A .ckpt or .safetensors file, or a folder of diffusers.")
    text = "What to write: *.ckpt or *.safetensors. Any other name becomes a folder of diffusers."
    add("output", metavar="OUTPUT", help=text)
    text = "The type of the numbers that are written. Without it, each tensor keeps its own."
    parser.share("--dtype", help=text)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--control-only", action="store_true", help="Leave out everything but the control.")
    text = "Lay a control branch over BASE. Without BASE, that which its metadata name is taken."
    which.add_argument("--full", nargs="?", const=True, metavar="BASE", help=text)
    text = "Write README.md into the folder OUTPUT, a model card of what INPUT says about itself."
    parser.add_argument("--card", action="store_true", help=text)
    parser.share("--config")
    return parser.parse_args()


@entry_point(LEFT_NOTHING)
def main():
    arguments = parse_arguments()
    from cldm.weights.convert import convert

    start, base = time.time(), arguments.full
    report = convert(
        arguments.input,
        arguments.output,
        arguments.dtype,
        arguments.control_only,
        full=base is not None,
        base=None if base is True else base,
        config=arguments.config,
        card=arguments.card,
    )
    print(f"{report}\nDone in {duration(time.time() - start)}")


if __name__ == "__main__":
    main()
