"""Unit vectors of many labels, computed once for a CLIP and kept in a file."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from annotator.files import write_atomically
from annotator.progress import Progress

CHUNK = 2048


def label_vectors(clip, labels: list[str], folder, weights: str):
    """Unit vectors float32 (n, d) of labels, rounded to float16 as they are kept in `folder`/.labels.

    Hidden, so that they are none of the weights' files, by which one CLIP is told from another.

    Args:
        weights: what tells the CLIP from others; another one has another file.
    """
    key = hashlib.sha256(json.dumps([weights, labels]).encode()).hexdigest()[:16]
    path = Path(folder, ".labels", f"{key}.safetensors")
    try:
        found = load_file(path)["vectors"]
    except (OSError, SafetensorError, KeyError):
        found = _compute(clip, labels)
        _keep(path, found)
    return found.to(clip.device, torch.float32)


def _compute(clip, labels):
    progress, parts = Progress("labels", len(labels), "texts"), []
    for start in range(0, len(labels), CHUNK):
        part = labels[start : start + CHUNK]
        parts.append(clip.encode_texts(part).half().cpu())
        progress.add(len(part))
    return torch.cat(parts)


def _keep(path: Path, vectors) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, save({"vectors": vectors.contiguous()}))
    except OSError as error:
        print(
            f"warning: the labels' vectors are computed anew each time, as {path} cannot be written ({error})"
        )
