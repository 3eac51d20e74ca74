"""A page on the network, fetching nothing from elsewhere."""

import socket
from pathlib import Path

import gradio as gr
from gradio import networking
from starlette.middleware import Middleware

from demo.guards import ClosedEndpoints
from pictures.painted_maps import MAX_BYTES

# darker than gradio's, in which help has a contrast of 2.5 and the border of a checkbox one of 1.2
COLOURS = dict(
    body_text_color_subdued="#5b6270",
    body_text_color_subdued_dark="#b4bac4",
    block_info_text_color="#5b6270",
    block_info_text_color_dark="#b4bac4",
    block_label_text_color="#4a5160",
    block_label_text_color_dark="#f2f4f7",
    block_title_text_color="#4a5160",
    block_title_text_color_dark="#f2f4f7",
    input_placeholder_color="#666d7a",
    input_placeholder_color_dark="#a9b0bc",
    checkbox_border_color="#767d8a",
    checkbox_border_color_dark="#bcc2cc",
    button_primary_background_fill="#3f3fc4",
    button_primary_background_fill_hover="#33339f",
    button_primary_background_fill_dark="#4f4fd6",
    button_primary_background_fill_hover_dark="#6161e0",
    checkbox_label_background_fill_selected="#3f3fc4",
    checkbox_label_background_fill_selected_dark="#4f4fd6",
    checkbox_background_color_selected="#3f3fc4",
    checkbox_background_color_selected_dark="#6161e0",
    checkbox_border_color_selected="#3f3fc4",
    checkbox_border_color_selected_dark="#8f8ff0",
)
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(**COLOURS)
HERE = Path(__file__).parent
ONE_AT_A_TIME = dict(concurrency_id="model", concurrency_limit=1)  # of what the model computes
HEAD = '<meta name="robots" content="noindex">'
# of every page: what has the focus is seen
FOCUS = """
:is(button, a, input, textarea, select, [tabindex], .options li):focus-visible {
  outline: 3px solid #3f3fc4 !important; outline-offset: 2px !important; border-radius: 4px
}
.dark :is(button, a, input, textarea, select, [tabindex], .options li):focus-visible {
  outline-color: #a9a9ff !important
}
"""


def page_script(own: Path) -> str:
    """What a page runs once it is there: the script that all share, then its own, of one function each."""
    shared, own = (file.read_text(encoding="utf-8").strip() for file in (HERE / "page.js", own))
    return f"() => {{ ({shared})(); ({own})(); }}"


def serve(page, css: str, port: int | None = None, host="127.0.0.1", queue=16, share=False):
    """Show a page until it is stopped.

    Args:
        page: gradio Blocks. css: of its own, behind what all pages share.
        port: None takes a free one from 7860. host: 0.0.0.0 is for everybody in the network.
        queue: requests that may wait.
        share: also make a public address, by gradio's servers.

    Raises:
        ValueError: nobody can listen there, or the queue has a length that none can have.
    """
    if not 1 <= queue <= 1000:
        raise ValueError(f"--queue must be between 1 and 1000, got {queue}")
    page.queue(max_size=queue, default_concurrency_limit=4)
    try:
        # gradio tries a hundred ports, noisily, on an address that is none of this machine's
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port or 0), family=family).close()
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            theme=THEME,
            css=(HERE / "style.css").read_text(encoding="utf-8") + css + FOCUS,
            head=HEAD,
            footer_links=["api"],
            app_kwargs=dict(middleware=[Middleware(ClosedEndpoints)]),
            run_history=False,
            show_error=True,
            max_file_size=MAX_BYTES,
            quiet=True,
            prevent_thread_lock=True,
        )
    except (OSError, OverflowError) as error:
        where = f"--host {host} --port {port or 'any'}" if host != "127.0.0.1" else f"--port {port or 'any'}"
        raise ValueError(f"{where} is taken or cannot be used: choose another") from error
    print(f"Open {page.local_url} in a browser; Ctrl+C stops.", flush=True)
    if share:
        print(open_public_address(page), flush=True)
    page.block_thread()


def open_public_address(page) -> str:
    """Make a public address, once the page is up; says which, or why there is none.

    Gradio's own `share=True` would keep the local address back until its servers have answered, prints a page
    of advice if they don't, and has every visitor's browser fetch scripts from elsewhere.
    """
    try:
        url = networking.setup_tunnel(page.server_name, page.server_port, page.share_token, None, None)
    except Exception as error:  # of the network, of the tunnel's program, or of gradio's parts between
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        return (
            f"No public address: gradio's servers gave none ({reason}). --share needs the internet; the page "
            "goes on at the address above."
        )
    return f"Public address: {url.replace('http://', 'https://', 1)}"
