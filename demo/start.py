"""What a page's script does first: nothing is fetched, and what strangers bring along goes when it ends."""

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path


def prepare_server() -> None:
    """To be called in an `entry_point`, before gradio is imported: no telemetry, no look-ups.

    Uploads and gradio's copies of results lie in a folder of this process's own, which is deleted however it
    ends, except by kill -9.
    """
    # gradio asks its own page whether it is up, which must not go through a proxy
    os.environ |= dict(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", no_proxy="*")
    place = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="garment_uploads_", dir=place)
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # a closed terminal ends it as SIGTERM does, unless it was started to outlive that, by nohup
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
