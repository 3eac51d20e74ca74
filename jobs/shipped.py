"""Files of models/ that come with the code: yamls, presets, tiny weights; in a checkout or installed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models"
# where people's own weights go: in a checkout beside the shipped files, else where they work
OWN_MODELS = MODELS if (ROOT / "pyproject.toml").exists() else Path("models")


def find_shipped(path) -> Path:
    """A path as it is; of one such as models/train_tiny.yaml where nothing is, what comes with the code."""
    path = Path(path)
    shipped = ROOT / path
    if path.parts[:1] == ("models",) and ".." not in path.parts and not path.exists() and shipped.exists():
        return shipped
    return path
