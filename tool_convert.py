"""Convert weights: .ckpt, .safetensors and folders of diffusers, whole models or a control branch alone.

python tool_convert.py models/tiny/base.safetensors models/tiny_diffusers      # runs on any CPU
python tool_convert.py models/tiny_diffusers models/tiny_again.safetensors     # the same tensors again
python tool_convert.py runs/dolls/control.safetensors doll_control             # a diffusers ControlNetModel
python tool_convert.py runs/sd15/control.safetensors garments.safetensors --dtype fp16      # for web UIs
python tool_convert.py runs/sd15/control.safetensors whole.safetensors --full models/v1-5-pruned.safetensors
"""

import argparse
import sys
import time

DETAILS = """\
Every tensor keeps its bits, unless --dtype rounds it; metadata go along. INPUT is read without executing
anything in it. A control branch may have the names of this project, of lllyasviel's files or of diffusers.
INPUT must be complete: a whole model, with or without a control branch, or a whole control branch. OUTPUT is
written completely or not at all, an existing one is never replaced. More: docs/formats.md
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=DETAILS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", metavar="INPUT", help=".ckpt, .safetensors or a folder of diffusers")
    parser.add_argument(
        "output", metavar="OUTPUT", help="*.ckpt or *.safetensors; any other name: a folder of diffusers"
    )
    parser.add_argument(
        "--dtype", choices=("fp32", "fp16", "bf16"), help="default: each tensor keeps its own"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--control-only", action="store_true", help="leave everything else out")
    which.add_argument(
        "--full",
        nargs="?",
        const=True,
        metavar="BASE",
        help="lay a control branch over BASE (default: the base that its metadata name)",
    )
    parser.add_argument(
        "--config", metavar="YAML", help="model (default: that of the metadata, or the family's)"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    from cldm.weights.convert import convert

    start, base = time.time(), arguments.full
    try:
        report = convert(
            arguments.input,
            arguments.output,
            arguments.dtype,
            arguments.control_only,
            full=base is not None,
            base=None if base is True else base,
            config=arguments.config,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{report}\nDone in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
