"""What a visitor has made so far, on any page: a gallery, one zip of all, and its end with the visit."""

import gradio as gr

from demo.errors import show_errors

PRIVATE = dict(api_visibility="private", show_progress="hidden")
# what starts the download of a file that a hidden button holds, or presses another button
CLICK = "() => document.querySelector('#{0} a, a#{0}, button#{0}').click()"


def pictures_gallery(label, elem_id, **options):
    return gr.Gallery(
        label=label,
        format="png",
        height="auto",
        object_fit="contain",
        show_label=False,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        **options,
    )


def history_panel():
    """(gallery of the session's pictures, button that fetches them all)."""
    with gr.Accordion("Pictures of this session", open=False, elem_id="history_panel"):
        history = pictures_gallery("Pictures of this session", "history", columns=6)
        gr.Markdown("They are deleted when you leave the page. The settings are in each file's metadata.")
        fetch = gr.Button("Download all as zip", elem_id="download")
    return history, fetch


def connect_history(sessions, going, stop, status, history, fetch):
    """What follows a request: it can be stopped, its pictures join the others, all can be fetched."""
    zipped = gr.DownloadButton("Zip", visible="hidden", elem_id="zip_file")

    def listed(request: gr.Request):
        session = sessions.of(request.session_hash)
        return list(reversed(session.pictures)), session.summarize()

    def cancel(request: gr.Request):
        session = sessions.of(request.session_hash)
        session.stop()
        # the request may end by itself before the page ends it, and then says how it stands, too
        return session.summarize()

    def archive(request: gr.Request):
        return str(sessions.of(request.session_hash).archive())

    going.success(listed, None, [history, status], queue=False, **PRIVATE)
    stop.click(cancel, None, status, cancels=[going], queue=False, **PRIVATE)
    fetch.click(show_errors(archive), None, zipped, api_name="download", show_progress="minimal")
    zipped.change(None, None, None, js=CLICK.format("zip_file"))


def make_leave(sessions):
    """The page's `unload`: what was kept of the visitor goes."""

    def leave(request: gr.Request):
        sessions.end(request.session_hash)

    return leave
