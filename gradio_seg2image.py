"""Paint, upload or pick a garment map in the browser and get pictures that follow it.

python gradio_seg2image.py                    # newest training result, else the tiny model: runs on any CPU
python gradio_seg2image.py --checkpoint runs/dolls/control.safetensors --port 7861
"""

import argparse
import os
import sys

TEMPLATES = (21, 41, 13, 23, 47, 4, 48, 46)  # dolls of seed 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="whole model, or control branch that names its base"
    )
    parser.add_argument(
        "--config", metavar="YAML", help="model of the checkpoint (default: what it says it is)"
    )
    parser.add_argument("--port", type=int, help="on 127.0.0.1 (default: the first free one from 7860)")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda, cuda:1, ... (default: auto)")
    return parser.parse_args()


def doll(index, size=256):
    """Region map uint8 (size, size) and caption of a paper doll."""
    from annotator.imaterialist import Row, region_map, rle_encode
    from annotator.paperdoll import draw

    drawn = draw(0, index, size)
    rows = [Row("", rle_encode(i.mask), size, size, i.class_id, i.attributes) for i in drawn.instances]
    return region_map(rows, size, size), drawn.caption


def serve(page, css, port):
    """Show a page on 127.0.0.1 alone, fetching nothing from elsewhere; a `port` of None takes a free one."""
    import gradio as gr

    from cldm.painting import MAX_BYTES

    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    local = dict(server_name="127.0.0.1", server_port=port, share=False, run_history=False, show_error=True)
    look = dict(theme=theme, css=css, footer_links=["api"], quiet=True)
    try:
        page.queue(max_size=16).launch(**local, **look, max_file_size=MAX_BYTES, prevent_thread_lock=True)
    except (OSError, OverflowError) as error:
        raise ValueError(f"--port {port} is taken or no port that can be used: choose another") from error
    print(f"Open {page.local_url} in a browser; Ctrl+C stops.", flush=True)
    page.block_thread()


def main():
    arguments = parse_arguments()
    # before gradio is imported; it asks its own page whether it is up, which must not go through a proxy
    os.environ |= dict(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", no_proxy="*")
    from annotator.imaterialist import REGIONS_FILE
    from cldm.demo_page import build_page, style
    from cldm.hint import HintEncoder
    from cldm.load import load_for_demo, pick_device

    regions = HintEncoder.from_file(REGIONS_FILE)
    try:
        demo = load_for_demo(arguments.checkpoint, arguments.config, regions, pick_device(arguments.device))
        print(demo.about(), demo.warning(), flush=True)
        templates = [doll(index) for index in TEMPLATES] if demo.encoder.names == regions.names else []
        serve(build_page(demo, templates), style(demo.encoder), arguments.port)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
