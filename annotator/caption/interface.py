"""What all captioners share: a list of pictures goes in, a caption of each comes out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Caption:
    """What is said of one picture.

    Args:
        text: the whole caption.
        phrases: the parts of it that name things, each with its boxes (left, top, right, bottom), in [0, 1]
            of the picture's width and height; without boxes from a captioner that finds none.
        scores: what the captioner thinks of it, by name, for example `similarity`.
    """

    text: str
    phrases: list[tuple[str, list[Box]]] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


class Captioner(ABC):
    """Pictures in, captions out; each subclass loads from a local folder and downloads nothing.

    `name` is the captioner's in captioners.py, and of the column that it writes unless told otherwise.
    `folder` is the training folder of the lines to caption, set before that for those who read more of it.
    """

    name = ""
    folder: Path | None = None

    @classmethod
    @abstractmethod
    def load(cls, folder, options, device="cpu", dtype=None) -> "Captioner":
        """The captioner of a local folder.

        Args:
            options: of the dataclass that captioners.py lists for `name`.
            dtype: of the weights, a torch.dtype; None takes float32.

        Raises:
            FileNotFoundError: the folder lacks a file; the message says which, from where to take it, and
                what else can be done.
        """

    def caption(self, images, prompt: str | None = None) -> list[Caption]:
        """A caption of each picture, uint8 (h, w, 3) in RGB; they may differ in size.

        `prompt` is what a caption goes on from, or the question it answers; None takes the options'.
        """
        raise NotImplementedError(f"{type(self).__name__} captions lines alone, not pictures")

    def caption_lines(self, lines: list[dict], images) -> list[Caption]:
        """The same for lines of a training folder's prompt.json, whose other columns may be of use."""
        return self.caption(images)


def check_images(images) -> list[np.ndarray]:
    """The pictures as arrays; ValueError unless each is uint8 (h, w, 3)."""
    arrays = [np.asarray(image) for image in images]
    for number, array in enumerate(arrays):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
            raise ValueError(
                f"a captioner wants RGB pictures, uint8 (h, w, 3); number {number} is {array.dtype} "
                f"{array.shape}"
            )
    return arrays


def need_files(folder, wanted: dict[str, tuple[str, ...]], where: str) -> Path:
    """The folder, if it is one and has a file of each kind; else FileNotFoundError.

    Args:
        wanted: what it is for -> names of files, one of which must be there.
        where: from where to take them and what else can be done, the end of the message.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: {where}")
    for purpose, names in wanted.items():
        if not any((folder / name).is_file() for name in names):
            raise FileNotFoundError(f"{folder} has no {' or '.join(names)} ({purpose}): {where}")
    return folder
