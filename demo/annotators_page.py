"""The annotators' page: one photo, and what each annotator makes of it."""

import cv2
import numpy as np

from annotator.canny import CannyDetector
from demo.photo import read_photo
from pictures.regions import colour_of, region_words

LONGEST = 1536  # pixels: larger photos are shrunk
HELP = "Upload a photo of a person: every annotator shows what it finds."
CSS = """
#head h1 { margin: 0 }
#maps .grid-wrap { max-height: none }
"""


def build_page(annotators: dict, missing: list[str]):
    """The page as gradio Blocks; its one public endpoint is /annotate.

    Args:
        annotators: by the name to be shown: a function of a photo uint8 (h, w, 3), RGB, that gives a picture
            uint8 (h, w, 3) and words about it.
        missing: why further annotators are not there.
    """
    import gradio as gr

    from demo.errors import show_errors
    from demo.guards import guard_gradio

    guard_gradio()

    def annotate(photo, low_threshold, high_threshold):
        """A photo's file and Canny's thresholds -> [(picture, caption), ...], the photo first."""
        if photo is None:
            raise ValueError("Upload a photo first.")
        return show_all(read_photo(photo), annotators, low_threshold, high_threshold)

    with gr.Blocks(title="Annotators", delete_cache=(3600, 86400)) as page:
        gr.Markdown(f"# Annotators\n{HELP}", elem_id="head")
        with gr.Row():
            with gr.Column(scale=1):
                photo = gr.Image(
                    label="Photo",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=360,
                    elem_id="photo",
                )
                low = gr.Slider(0, 500, 100, step=1, label="Canny: low threshold")
                high = gr.Slider(0, 500, 200, step=1, label="Canny: high threshold")
                run = gr.Button("Annotate", variant="primary", elem_id="annotate")
                gr.Markdown("\n".join(f"* {reason}" for reason in missing), elem_id="missing")
            with gr.Column(scale=2):
                maps = gr.Gallery(show_label=False, columns=2, height="auto", format="png", elem_id="maps")
        inputs = [photo, low, high]
        gr.on([run.click, photo.upload], show_errors(annotate), inputs, maps, api_name="annotate")
    return page


def show_all(photo, annotators: dict, low_threshold, high_threshold) -> list:
    """[(picture uint8 (h, w, 3), caption), ...] of the photo, its edges, and what each annotator says.

    Raises:
        ValueError: thresholds are the wrong way round.
    """
    factor = min(1.0, LONGEST / max(photo.shape[:2]))
    photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    edges = CannyDetector()(photo, low_threshold, high_threshold)
    shown = [(photo, "photo"), (cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB), "canny")]
    for name, annotator in annotators.items():
        picture, words = annotator(photo)
        shown.append((picture, f"{name}: {words}"))
    return shown


def show_regions(segmenter):
    """A segmenter as an annotator of build_page: region colours, and what share of the picture each takes."""
    colours = np.array([colour_of(name, i) for i, name in enumerate(segmenter.names)], np.uint8)

    def annotate(photo):
        ids = segmenter(photo)
        return colours[ids], region_words(ids, segmenter.names) or segmenter.nothing

    return annotate


def show_poses(detector, **options):
    """A pose detector as an annotator of build_page: skeletons on black."""
    from annotator.openpose import draw_poses

    def annotate(photo):
        poses = detector.poses(photo, **options)
        joints = sum(int((pose.body[:, 2] > 0).sum()) for pose in poses)
        people = "1 person" if len(poses) == 1 else f"{len(poses)} people"
        words = f"{people}, {joints} joints" if poses else "nobody found"
        return draw_poses(poses, *photo.shape[:2]), words

    return annotate
