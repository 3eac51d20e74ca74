"""Prompts to token ids: CLIP's byte pairs, read from open_clip's wheel, so that nothing is downloaded."""

import gzip
import importlib.util
import io
import sys
import warnings
from functools import lru_cache
from pathlib import Path

import torch

CLIP_VOCAB_SIZE = 49408
NUM_BYTE_TOKENS = 512  # the 256 bytes, and the same at the end of a word
NUM_SPECIAL_TOKENS = 2  # start and end, always the last two ids


@lru_cache(maxsize=1)
def open_clip_tokenizer():
    """open_clip's tokenizer module, without the import of open_clip itself, which takes seconds."""
    if "open_clip.tokenizer" in sys.modules:
        return sys.modules["open_clip.tokenizer"]
    package = importlib.util.find_spec("open_clip")
    if package is None:
        raise ModuleNotFoundError("prompts need open_clip's vocabulary: pip install open_clip_torch")
    path = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=4)
def byte_pair_encoder(vocab_size):
    """open_clip's SimpleTokenizer, cut to its most frequent merges: long words then fall into more pieces."""
    if not NUM_BYTE_TOKENS + NUM_SPECIAL_TOKENS <= vocab_size <= CLIP_VOCAB_SIZE:
        smallest = NUM_BYTE_TOKENS + NUM_SPECIAL_TOKENS
        raise ValueError(
            f"vocab_size must be within {smallest}..{CLIP_VOCAB_SIZE} (CLIP's), got {vocab_size}"
        )
    library = open_clip_tokenizer()
    lines = gzip.decompress(Path(library.default_bpe()).read_bytes()).decode().split("\n")
    num_merges = vocab_size - NUM_BYTE_TOKENS - NUM_SPECIAL_TOKENS
    kept = "\n".join(lines[: 1 + num_merges])  # the first line is a header
    return library.SimpleTokenizer(bpe_path=io.BytesIO(gzip.compress(kept.encode())))


class PromptTokenizer:
    """Turn prompts into token ids (b, max_length) int64: start, the text, end, padding.

    Args:
        padding: the id after the end token; None repeats the end token, as Stable Diffusion 1 was trained.
    """

    def __init__(self, vocab_size=CLIP_VOCAB_SIZE, max_length=77, padding=None):
        self.vocab_size, self.max_length = vocab_size, max_length
        self.start, self.end = vocab_size - 2, vocab_size - 1
        self.padding = self.end if padding is None else padding
        self.warned = set()

    def encode(self, text: str) -> list[int]:
        """The ids of a text of any length, without start, end and padding."""
        return byte_pair_encoder(self.vocab_size).encode(text)

    def decode(self, ids: list[int]) -> str:
        return byte_pair_encoder(self.vocab_size).decode(ids).strip()

    def __call__(self, texts: list[str] | str):
        """Token ids (b, max_length); what a prompt has beyond max_length - 2 is cut, with a warning."""
        texts = [texts] if isinstance(texts, str) else texts
        return torch.tensor([self.fit(text) for text in texts], dtype=torch.long)

    def fit(self, text):
        ids, room = self.encode(text), self.max_length - 2
        if len(ids) > room and text not in self.warned:
            self.warned.add(text)
            warnings.warn(
                f"the prompt has {len(ids)} tokens, the text encoder reads {room}; "
                f"not seen by the model: {self.decode(ids[room:])!r}",
                stacklevel=3,
            )
        ids = [self.start, *ids[:room], self.end]
        return ids + [self.padding] * (self.max_length - len(ids))
