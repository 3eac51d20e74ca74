"""The page on the network, fetching nothing from elsewhere."""

import socket

import gradio as gr

from cldm.demo.style import style
from cldm.painting import MAX_BYTES


def serve(page, encoder, arguments):
    """Show a page until Ctrl+C; `arguments` are host, port (None: a free one), share and queue.

    Raises:
        ValueError: nobody can listen there, or the queue has a length that none can have.
    """
    if not 1 <= arguments.queue <= 1000:
        raise ValueError(f"--queue must be between 1 and 1000, got {arguments.queue}")
    fonts = dict(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    look = dict(theme=gr.themes.Soft(**fonts), css=style(encoder), footer_links=["api"], quiet=True)
    place = dict(server_name=arguments.host, server_port=arguments.port, share=arguments.share)
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
        print(f"Public address: {page.share_url or 'none could be had, see above'}", flush=True)
    page.block_thread()
