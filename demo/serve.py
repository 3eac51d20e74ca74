"""The page on the network, fetching nothing from elsewhere."""

import os
import socket
from pathlib import Path

import gradio as gr
from gradio import networking

from demo.page_map import brush_order
from pictures.painted_maps import MAX_BYTES

RULE = "#brush label:nth-of-type({})::before {{ background: rgb{} }}\n"


def style(encoder) -> str:
    """The page's CSS."""
    css = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return css + "".join(
        RULE.format(i, encoder.colours[region]) for i, region in enumerate(brush_order(encoder), 1)
    )


def serve(page, encoder, arguments):
    """Show a page until Ctrl+C; `arguments` are host, port (None: a free one), share and queue.

    Raises:
        ValueError: nobody can listen there, or the queue has a length that none can have.
    """
    if not 1 <= arguments.queue <= 1000:
        raise ValueError(f"--queue must be between 1 and 1000, got {arguments.queue}")
    fonts = dict(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    look = dict(theme=gr.themes.Soft(**fonts), css=style(encoder), footer_links=["api"], quiet=True)
    look |= dict(head='<meta name="robots" content="noindex">')
    place = dict(server_name=arguments.host, server_port=arguments.port, share=False)
    page.queue(max_size=arguments.queue, default_concurrency_limit=4)
    try:
        # gradio tries a hundred ports, noisily, on an address that is none of this machine's
        family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
        socket.create_server((arguments.host, arguments.port or 0), family=family).close()
        page.launch(
            **place,
            **look,
            run_history=False,
            show_error=True,
            max_file_size=MAX_BYTES,
            prevent_thread_lock=True,
        )
    except (OSError, OverflowError) as error:
        where = f"--host {arguments.host} --port {arguments.port or 'any'}"
        raise ValueError(f"{where} is taken or cannot be used: choose others") from error
    print(f"Open {page.local_url} in a browser; Ctrl+C stops.", flush=True)
    if arguments.share:
        print(shared(page), flush=True)
    page.block_thread()


def shared(page) -> str:
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


def stay_offline() -> None:
    """To be called before gradio is imported: no telemetry, no look-ups of names."""
    # gradio asks its own page whether it is up, which must not go through a proxy
    os.environ |= dict(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", no_proxy="*")


def serve_locally(page, css: str, port: int | None, max_bytes: int) -> None:
    """Show a page on 127.0.0.1 alone, fetching nothing from elsewhere; a `port` of None takes a free one.

    `max_bytes`: of an uploaded file. ValueError for a port that cannot be used.
    """
    import gradio as gr

    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    local = dict(server_name="127.0.0.1", server_port=port, share=False, run_history=False, show_error=True)
    look = dict(theme=theme, css=css, footer_links=["api"], quiet=True)
    try:
        page.queue(max_size=16).launch(**local, **look, max_file_size=max_bytes, prevent_thread_lock=True)
    except (OSError, OverflowError) as error:
        raise ValueError(f"--port {port} is taken or no port that can be used: choose another") from error
    print(f"Open {page.local_url} in a browser; Ctrl+C stops.", flush=True)
    page.block_thread()
