"""The fitting room's script in a process of its own, with a graft of the tiny base, untrained."""

from contextlib import contextmanager
from pathlib import Path

from cldm.model import create_model
from cldm.tryon.record import TryonRecord
from cldm.weights.graft import add_control
from demo_server import serving_script
from ldm.checkpoint import read_state_dict, write_state_dict
from sources import ROOT

RECIPE, BASE = ROOT / "models/tryon_tiny_joint.yaml", ROOT / "models/tiny/base.safetensors"
SIZE, STYLE = (128, 96), "body_part"


def write_checkpoint(folder: Path, **told) -> Path:
    """A whole try-on model that says what a trained one says: how masks were made, and the size."""
    add_control(str(BASE), str(folder / "graft.safetensors"), str(RECIPE))
    state, path = read_state_dict(folder / "graft.safetensors"), folder / "tryon.safetensors"
    record = TryonRecord.of(create_model(RECIPE)).changed(**dict(mask_style=STYLE, size=SIZE) | told)
    write_state_dict(state, path, dict(config=str(RECIPE), tryon=record.metadata()), overwrite=True)
    return path


@contextmanager
def serving_room(folder: Path):
    """Served: drawn people and garments."""
    checkpoint = write_checkpoint(folder)
    arguments = ["--device", "cpu", "--checkpoint", checkpoint, "--config", RECIPE]
    with serving_script(folder, "gradio_tryon.py", *arguments) as served:
        yield served
