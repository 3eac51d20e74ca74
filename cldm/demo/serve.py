"""The page on the network, fetching nothing from elsewhere."""

import gradio as gr

from cldm.demo.style import style
from cldm.painting import MAX_BYTES


def serve(page, encoder, arguments):
    """Show a page until Ctrl+C; `arguments` are host, port (None: a free one), share and queue.

    Raises:
        ValueError: nobody can listen there, or no public address can be had.
    """
    if not 1 <= arguments.queue <= 1000:
        raise ValueError(f"--queue must be between 1 and 1000, got {arguments.queue}")
    fonts = dict(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    look = dict(theme=gr.themes.Soft(**fonts), css=style(encoder), footer_links=["api"], quiet=True)
    where = dict(server_name=arguments.host, server_port=arguments.port, share=arguments.share)
    page.queue(max_size=arguments.queue, default_concurrency_limit=4)
    try:
        page.launch(
            **where,
            **look,
            run_history=False,
            show_error=True,
            max_file_size=MAX_BYTES,
            prevent_thread_lock=True,
        )
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"--host {arguments.host} --port {arguments.port} is taken or cannot be used: choose others"
        ) from error
    print(f"Open {page.local_url} in a browser; Ctrl+C stops.", flush=True)
    if arguments.share:
        print(f"Public address: {page.share_url or 'none could be had, see above'}", flush=True)
    page.block_thread()
