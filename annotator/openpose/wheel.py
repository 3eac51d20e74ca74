"""The networks in mediapipe's wheel 0.10.21 (Apache 2.0), which is read as it is."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

WHERE = (
    "python -m pip download --no-deps --only-binary=:all: --python-version 3.11 mediapipe==0.10.21 "
    "-d models/annotators (later wheels hold no networks)"
)
WHEELS = "mediapipe-*.whl"
LARGEST = 2**26  # bytes of a network, several times what those of the wheel have
RUNTIME = "mediapipe's networks need the package ai-edge-litert: python -m pip install ai-edge-litert"


def find_wheel(path) -> Path | None:
    """The wheel that a path is, or the first one in the folder that it is; None if there is none."""
    path = Path(path)
    wheels = [path] if path.suffix == ".whl" else sorted(path.glob(WHEELS))
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
    return [_network_in(path, name) for name in names]


def _network_in(path, name):
    try:
        with zipfile.ZipFile(path) as wheel:
            if wheel.getinfo(name).file_size > LARGEST:
                raise zipfile.BadZipFile
            content = wheel.read(name)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # the last of these is about passwords and methods that the wheel has not
        raise ValueError(f"{path} holds no {Path(name).name}, or is damaged: {WHERE}") from error
    return load_network(content, f"{path}: {Path(name).name}")


def load_network(content: bytes, name: str):
    """A .tflite file's network as a function of a batch; `name` is for errors."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ValueError(RUNTIME) from error
    try:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} is no network that runs ({reason}): {WHERE}") from error
    place = interpreter.get_input_details()[0]["index"]
    places = [output["index"] for output in interpreter.get_output_details()]

    def run(batch):
        interpreter.set_tensor(place, np.float32(batch))
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in places]

    return run
