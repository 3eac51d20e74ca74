"""Pages of gradio on this machine alone."""

import os


def stay_offline() -> None:
    """To be called before gradio is imported: no telemetry, no look-ups of names."""
    # gradio asks its own page whether it is up, which must not go through a proxy
    os.environ |= dict(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", no_proxy="*")


def serve(page, css: str, port: int | None, max_bytes: int) -> None:
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
