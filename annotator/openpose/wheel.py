"""The networks in mediapipe's wheel 0.10.21 (Apache 2.0), which is read as it is."""

import zipfile
from pathlib import Path

import numpy as np

WHERE = (
    "python -m pip download --no-deps --only-binary=:all: --python-version 3.11 mediapipe==0.10.21 "
    "-d models/annotators (later wheels hold no networks)"
)
RUNTIME = "mediapipe's networks need the package ai-edge-litert: python -m pip install ai-edge-litert"


def find_wheel(path) -> Path | None:
    """The wheel that a path is, or the first one in the folder that it is; None if there is none."""
    path = Path(path)
    wheels = [path] if path.suffix == ".whl" else sorted(path.glob("mediapipe-*.whl"))
    return wheels[0] if wheels else None


def read_networks(path, names):
    """The networks of files in a wheel, each a function of a batch that gives a list of arrays.

    Raises:
        FileNotFoundError, ValueError: there is no such file, it holds no such networks, or the package
            that runs them is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no pose networks at {path}: {WHERE}")
    try:
        with zipfile.ZipFile(path) as wheel:
            contents = [wheel.read(name) for name in names]
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no {Path(names[0]).name}: {WHERE}") from error
    return [network(content) for content in contents]


def network(content: bytes):
    """A .tflite file's network as a function of a batch."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ValueError(RUNTIME) from error
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    places = [output["index"] for output in interpreter.get_output_details()]

    def run(batch):
        interpreter.set_tensor(place, np.float32(batch))
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in places]

    return run
