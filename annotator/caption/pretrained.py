"""What the captioners with a model of transformers share: loading it from a folder, and generating tokens."""

from abc import abstractmethod
from pathlib import Path

from PIL import Image

from annotator.caption.interface import Captioner, check_images, need_files
from jobs.json_files import read_json

FILES = {
    "what the model is": ("config.json",),
    "its weights": ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"),
    "how pictures are prepared": ("processor_config.json", "preprocessor_config.json"),
    "its tokens": ("tokenizer.json",),
    "what its tokens are for": ("tokenizer_config.json",),
}


class PretrainedCaptioner(Captioner):
    """A model and its processor, read from a folder as published.

    Args:
        model: of transformers, in evaluation mode, on its device.
        processor: makes the model's inputs of pictures and texts.
        options: of the dataclass that captioners.py lists for the captioner.
    """

    # from where to take a folder: the end of every message about one
    where = ""
    auto_model = "AutoModelForImageTextToText"

    def __init__(self, model, processor, options):
        self.model, self.processor, self.options = model, processor, options

    @classmethod
    def load(cls, folder, options, device="cpu", dtype=None):
        cls.check_options(options)
        cls.check_folder(folder)
        import torch
        import transformers

        try:
            processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, found = getattr(transformers, cls.auto_model).from_pretrained(
                folder, local_files_only=True, dtype=dtype or torch.float32, output_loading_info=True
            )
        except Exception as error:
            # damaged files raise nearly anything in transformers' readers
            first_line = (str(error).strip().splitlines() or [""])[0]
            raise ValueError(
                f"{folder} holds no model that transformers loads ({type(error).__name__}: {first_line}): "
                f"{cls.where}"
            ) from error
        if found["missing_keys"]:
            # transformers would go on with random numbers in their place
            listed = ", ".join(sorted(found["missing_keys"])[:3])
            raise ValueError(f"the weights in {folder} lack {listed}: {cls.where}")
        return cls(model.eval().to(device), processor, options)

    @classmethod
    def check_folder(cls, folder) -> None:
        """Raise FileNotFoundError for a folder that lacks a file, ValueError for one with another model."""
        folder = need_files(folder, FILES, cls.where)
        need_shards(folder, cls.where)
        kind = read_model_type(folder)
        if kind not in cls.model_types():
            raise ValueError(f"{folder} holds the model {kind!r}, which {cls.name} cannot use: {cls.where}")

    @classmethod
    @abstractmethod
    def model_types(cls):
        """What a config.json may give as model_type."""

    @classmethod
    def check_options(cls, options) -> None:
        """Raise ValueError for options that mean nothing."""
        for name in ("max_new_tokens", "num_beams"):
            if getattr(options, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")

    def prepare(self, **inputs):
        """What the processor makes of pictures and texts, on the model's device and in its dtype."""
        return self.processor(**inputs, return_tensors="pt").to(self.model.device, self.model.dtype)

    def generate(self, inputs):
        """The most probable tokens after prepared inputs, and what the model thinks of each row of them.

        Returns:
            tokens: int64 (b, n), the prompt's first where the model repeats them, ended by its own marks.
            scores: of each row `log_probability`, the mean of the tokens it added, natural logarithm; nothing
                with more than one beam.
        """
        import torch
        from transformers import LogitsProcessorList

        options, recorder = self.options, Recorder()
        greedy = options.num_beams == 1
        try:
            with torch.inference_mode():
                tokens = self.model.generate(
                    **inputs,
                    max_new_tokens=options.max_new_tokens,
                    num_beams=options.num_beams,
                    # whatever generation_config.json says: the same picture gets the same caption
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                    logits_processor=LogitsProcessorList([recorder] if greedy else []),
                )
        except IndexError as error:
            # of the table of positions
            raise ValueError(
                "prompt and max_new_tokens together are longer than the model reads: shorten either"
            ) from error
        if not greedy:
            return tokens, [{} for _ in tokens]
        return tokens, recorder.means(tokens, self._ends())

    def _ends(self) -> list[int]:
        """Tokens that end a caption, and those that fill the row after it."""
        tokenizer, said = self.processor.tokenizer, self.model.generation_config.eos_token_id
        ends = [tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
        ends += said if isinstance(said, list) else [said]
        return [end for end in ends if end is not None]


class Recorder:
    """Remembers, of each step of a greedy search, how probable the token was that it took."""

    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores.float().log_softmax(-1).amax(-1))
        return scores

    def means(self, tokens, ends: list[int]) -> list[dict[str, float]]:
        """`log_probability` of each row of tokens (b, n), of which `ends` end it."""
        import torch

        values = torch.stack(self.steps, dim=1)
        ended = torch.isin(tokens[:, -values.shape[1] :], torch.tensor(ends, device=tokens.device))
        # a row's own end is one of its tokens, what follows it is not
        counted = ended.cumsum(1) - ended.long() == 0
        means = (values * counted).sum(1) / counted.sum(1)
        return [{"log_probability": mean} for mean in means.tolist()]


def to_pictures(images) -> list[Image.Image]:
    """Pictures that no processor mistakes for (3, h, w), of arrays uint8 (h, w, 3)."""
    return [Image.fromarray(image) for image in check_images(images)]


def read_model_type(folder) -> str | None:
    """What a folder's config.json says the model is; None where it says nothing."""
    return read_json(Path(folder) / "config.json").get("model_type")


def need_shards(folder: Path, where: str) -> None:
    """FileNotFoundError if weights are in several files and one of them is missing."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file() or not index.is_file():
        return
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise ValueError(f"{index}: weight_map must give each tensor its file")
    for name in sorted(set(files.values())):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name} ({index.name} lists it): {where}")
