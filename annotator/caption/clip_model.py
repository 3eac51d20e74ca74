"""A CLIP of open_clip from a local folder: pictures and texts to unit vectors of one space."""

from pathlib import Path

import torch
from einops import rearrange
from PIL import Image

from annotator.caption.clip_text_tower import TextTower
from annotator.caption.interface import check_images, need_files

WANTED = (
    "a CLIP is a folder of open_clip_config.json and open_clip_model.safetensors (or "
    "open_clip_pytorch_model.bin), downloaded elsewhere: timm/vit_large_patch14_clip_224.openai for SD1.x, "
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K for SD2.x; without one, --captioner attributes needs no model"
)
FILES = {
    "the configuration": ("open_clip_config.json",),
    "the weights": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
}
RESIZE = ("longest", "shortest", "squash")


class Clip:
    """Encodes pictures and texts with an open_clip model.

    Args:
        model: an open_clip CLIP whose text tower is causal and reads its end token, as SD's are.
        preprocess: a PIL picture -> float32 (3, s, s), as open_clip's transforms give it.
        tokenizer: open_clip's SimpleTokenizer.
    """

    def __init__(self, model, preprocess, tokenizer, device="cpu", dtype=None):
        self.model = model.eval().requires_grad_(False).to(device=device, dtype=dtype or torch.float32)
        self.preprocess, self.device = preprocess, device
        self.text = TextTower(self.model, tokenizer)

    @classmethod
    def load(cls, folder, device="cpu", dtype=None, resize: str = "longest") -> "Clip":
        """The CLIP of a folder, in open_clip's own layout.

        Args:
            resize: how a picture becomes a square: `longest` pads it with black, `shortest` crops it (the
                published way, which takes feet and head from a portrait), `squash` distorts it.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are damaged, or of another kind of model.
        """
        import open_clip

        if resize not in RESIZE:
            raise ValueError(f"resize must be one of {', '.join(RESIZE)}, got {resize!r}")
        folder, name = need_files(folder, FILES, WANTED), f"local-dir:{folder}"
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(name, image_resize_mode=resize)
            tokenizer = open_clip.get_tokenizer(name)
        except Exception as error:
            # damaged files raise nearly anything in open_clip's readers
            [first_line, *_] = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(
                f"{folder} holds no CLIP that open_clip loads ({first_line}): {WANTED}"
            ) from error
        return cls(model, preprocess, tokenizer, device, dtype)

    @torch.inference_mode()
    def encode_images(self, images):
        """Unit vectors float32 (b, d) of pictures uint8 (h, w, 3)."""
        pixels = [self.preprocess(Image.fromarray(image)) for image in check_images(images)]
        batch = torch.stack(pixels).to(self.device, next(self.model.parameters()).dtype)
        return self.model.encode_image(batch, normalize=True).float()

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]):
        """Unit vectors float32 (b, d) of texts, which are cut at 77 tokens as CLIP's tokenizer cuts them."""
        return self.text.encode([self.text.tokens(text) for text in texts])


def identity(folder) -> str:
    """What tells one folder's weights from another's: name and size of the file."""
    names = [name for name in FILES["the weights"] if (Path(folder) / name).is_file()]
    return ", ".join(f"{name} {(Path(folder) / name).stat().st_size}" for name in names[:1])


def similarities(features, embeddings):
    """Cosines (b, n) of pictures' unit vectors (b, d) with texts' unit vectors (n, d)."""
    return features @ rearrange(embeddings, "n d -> d n").to(features.dtype)
