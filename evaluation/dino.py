"""DINOv2's class token of pictures, from a local file of its own release."""

import numpy as np
import torch
from torch.nn.functional import normalize

from cldm.tryon.image_encoders import DINO_SIZES, DinoGarments
from generation.control_files import digest
from ldm.checkpoint import read_state_dict

WANTED = (
    "dinov2_vits14_pretrain.pth, vitb14, vitl14 or vitg14, downloaded elsewhere from "
    "dl.fbaipublicfiles.com/dinov2"
)


def load_dino(path, device="cpu"):
    """(a list of pictures uint8 (h, w, 3) -> unit vectors (n, d), facts for a protocol).

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds no DINOv2 without registers.
    """
    state = read_state_dict(path)
    token = state.get("cls_token")
    width = token.shape[-1] if token is not None else 0
    size = next((name for name, parts in DINO_SIZES.items() if parts["width"] == width), None)
    if size is None:
        raise ValueError(f"{path} is no DINOv2: wanted {WANTED}")
    network = DinoGarments(size)
    ours = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if ours != {name: tensor.shape for name, tensor in state.items()}:
        raise ValueError(f"{path} is another network than DINOv2's ViT-{size}/14: wanted {WANTED}")
    network.load_state_dict(state)
    network = network.eval().requires_grad_(False).to(device)

    def encode(pictures):
        rows = [network(torch.from_numpy(np.array(p))[None].to(device))[:, 0].float() for p in pictures]
        return normalize(torch.cat(rows), dim=-1).cpu().numpy()

    side = network.side
    facts = dict(file=str(path), sha256=digest(path), backbone=f"DINOv2 ViT-{size}/14")
    return encode, facts | dict(pictures=f"padded with white to a square, {side} x {side}, bicubic")
