"""A CLIP of open_clip from a local folder: pictures and texts to unit vectors of one space.

Its text tower (arXiv 2103.00020, section 2.4) computes only what its result depends on. It is causal and its
result is read at the end token, so that what follows this token need not be computed, and what precedes a
common prefix' end need be computed only once: its keys and values are kept.
"""

import re
from functools import lru_cache
from pathlib import Path

import torch
from einops import rearrange
from PIL import Image
from torch.nn.functional import linear, normalize, scaled_dot_product_attention

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
BATCH = 256
# ASCII without entities of HTML: the tokenizer reads each of its words for itself
PLAIN = re.compile(r"[\x20-%'-~]*")


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


def name_weights(folder) -> str:
    """What tells one folder's weights from another's: name and size of the file."""
    names = [name for name in FILES["the weights"] if (Path(folder) / name).is_file()]
    return ", ".join(f"{name} {(Path(folder) / name).stat().st_size}" for name in names[:1])


def similarities(features, embeddings):
    """Cosines (b, n) of pictures' unit vectors (b, d) with texts' unit vectors (n, d)."""
    return features @ rearrange(embeddings, "n d -> d n").to(features.dtype)


class TextTower:
    """Texts to unit vectors with the weights of an open_clip CLIP, equal to its encode_text within rounding.

    Raises:
        ValueError: the model's text tower is none that Stable Diffusion knows.
    """

    def __init__(self, model, tokenizer):
        text = getattr(model, "text", model)
        pool = getattr(text, "text_pool_type", getattr(text, "pool_type", None))
        if pool not in ("argmax", "eos") or getattr(text, "attn_mask", None) is None:
            raise ValueError("the CLIP's text tower must be causal and read its end token, as SD's towers do")
        self.text, self.tokenizer = text, tokenizer
        self.num_tokens = text.positional_embedding.shape[0]
        self.end = tokenizer.eot_token_id
        self.word_length = lru_cache(maxsize=100_000)(lambda word: len(tokenizer.encode(word)))

    def length(self, text: str) -> int:
        """How many tokens a text has, however many it may have."""
        if PLAIN.fullmatch(text):
            return sum(map(self.word_length, text.split()))
        return len(self.tokenizer.encode(text))

    def tokens(self, text: str) -> list[int]:
        """Start token, the text's, end token: 77 at most, the end token always there."""
        return self.cut([self.tokenizer.sot_token_id, *self.tokenizer.encode(text), self.end])

    def cut(self, tokens: list[int], start: int = 0) -> list[int]:
        """Tokens that fit behind `start` others, the last one the end token."""
        room = self.num_tokens - start
        return tokens if len(tokens) <= room else [*tokens[: room - 1], self.end]

    def encode(self, rows: list[list[int]], prefix=None):
        """Unit vectors float32 (b, d) of rows of tokens that end with the end token.

        `prefix`, of `read_prefix`, is what stands before each row.
        """
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found = None
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            lengths = [len(rows[i]) for i in part]
            padded = [rows[i] + [self.end] * (lengths[-1] - len(rows[i])) for i in part]
            x, _ = self._run(padded, prefix)
            at_end = x[torch.arange(len(part)), torch.tensor(lengths) - 1]
            vectors = normalize(self._project(self.text.ln_final(at_end)).float(), dim=-1)
            found = vectors.new_empty(len(rows), vectors.shape[1]) if found is None else found
            found[part] = vectors
        return found

    def read_prefix(self, tokens: list[int]):
        """Keys and values of tokens, start token included and end token not, for `encode`."""
        return self._run([tokens], None)[1]

    def _run(self, rows, prefix):
        """(features (b, n, d), keys and values of each layer (b, heads, n, d / heads))."""
        text, known = self.text, 0 if prefix is None else prefix[0][0].shape[2]
        ids = torch.tensor(rows, device=text.positional_embedding.device)
        dtype = text.transformer.get_cast_dtype()
        x = text.token_embedding(ids).to(dtype)
        x = x + text.positional_embedding[known : known + ids.shape[1]].to(dtype)
        kept = []
        for layer, block in enumerate(text.transformer.resblocks):
            before = None if prefix is None else prefix[layer]
            attended, keys_values = _attend(block.attn, block.ln_1(x), before)
            x = x + block.ls_1(attended)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
            kept.append(keys_values)
        return x, kept

    def _project(self, x):
        projection = self.text.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, torch.nn.Module) else x @ projection


def _attend(attention, x, before):
    """(causal self-attention (b, n, d), its keys and values), `before` which a prefix' are, common to all."""
    mixed = linear(x, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = rearrange(mixed, "b n (three h d) -> three b h n d", three=3, h=attention.num_heads)
    if before is None:
        y = scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        y = _attend_behind(q, k, v, *before)
    y = linear(rearrange(y, "b h n d -> b n (h d)"), attention.out_proj.weight, attention.out_proj.bias)
    return y, (k, v)


def _attend_behind(q, k, v, prefix_k, prefix_v):
    """Attention (b, h, n, d) of rows to a prefix (1, h, p, d) and causally to themselves.

    The prefix is read as one matrix for all rows, not repeated for each.
    """
    b, n = q.shape[0], q.shape[2]
    q = q * q.shape[-1] ** -0.5
    flat = rearrange(q, "b h n d -> h (b n) d")
    to_prefix = rearrange(flat @ rearrange(prefix_k[0], "h p d -> h d p"), "h (b n) p -> b h n p", b=b)
    to_rows = q @ rearrange(k, "b h n d -> b h d n")
    later = torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
    scores = torch.cat([to_prefix, to_rows.masked_fill(later, -torch.inf)], dim=-1)
    weights = scores.float().softmax(dim=-1).to(q.dtype)
    on_prefix, on_rows = weights.split([prefix_k.shape[2], n], dim=-1)
    from_prefix = rearrange(on_prefix, "b h n p -> h (b n) p") @ prefix_v[0]
    return rearrange(from_prefix, "h (b n) d -> b h n d", b=b) + on_rows @ v
