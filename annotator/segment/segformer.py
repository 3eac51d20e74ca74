"""Regions by a SegFormer in a local folder: a public parser of people, or one that was trained here."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors import SafetensorError
from torch.nn.functional import interpolate

from annotator.openpose.wheel import WHERE
from annotator.segment.interface import Segmenter, choose_regions
from jobs.json_files import read_json
from jobs.whole_files import write_atomically
from jobs.yaml_files import read_yaml
from pictures.regions import standard_regions

LABELS_FILE = Path(__file__).with_name("labels.yaml")
FILES = "config.json", "preprocessor_config.json", "model.safetensors"
WANTED = (
    f"wanted a folder of a SegFormer with {', '.join(FILES)}, downloaded elsewhere, such as "
    "mattmdjaga/segformer_b2_clothes, or made by tutorial_train_segmenter.py"
)
ROUGH = f"or take the rough one by rules: {WHERE}"
# random weights for small pictures, 0.4 M of them; without dropout a resumed training repeats an unbroken one
SMALL = dict(
    depths=[1, 1, 2, 2],
    hidden_sizes=[16, 32, 64, 96],
    mlp_ratios=[2, 2, 2, 2],
    num_attention_heads=[1, 1, 2, 4],
    decoder_hidden_size=64,
    hidden_dropout_prob=0.0,
    classifier_dropout_prob=0.0,
    drop_path_rate=0.0,
)


class SegFormerSegmenter(Segmenter):
    """segmenter = SegFormerSegmenter.load("models/annotators/segformer_b2_clothes")

    Args:
        network, processor: of transformers; `size` is the processor's.
        regions: region id of each label, uint8 (labels,).
    """

    kind = "segformer"

    def __init__(self, network, processor, names, regions, device="cpu"):
        super().__init__(network, names, processor.size["height"], device)
        self.processor, self.regions = processor, regions
        stack = rearrange(torch.tensor([processor.image_mean, processor.image_std]), "n c -> n c 1 1")
        self.mean, self.deviation = stack

    @classmethod
    def reads(cls, path):
        # what is not there is most likely a folder's name with a slip
        return path.suffix != ".safetensors" and not path.is_file()

    @classmethod
    def load(cls, folder, device="cpu"):
        """The model of a folder; its labels become regions by labels.yaml, or are regions already.

        Raises:
            FileNotFoundError, ValueError: a file is missing, or holds another model, or no label is a region.
        """
        folder = Path(folder)
        labels, names = check_folder(folder)
        from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor

        try:
            processor = SegformerImageProcessor.from_pretrained(folder, local_files_only=True)
            network, found = SegformerForSemanticSegmentation.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        except (SafetensorError, ValueError, RuntimeError, OSError, TypeError, AttributeError) as error:
            # damaged files raise nearly anything in transformers' readers
            raise ValueError(f"{folder} holds no weights of its SegFormer: {WANTED}") from error
        if found["missing_keys"]:
            # transformers would go on with random numbers in their place
            listed = ", ".join(sorted(found["missing_keys"])[:3])
            raise ValueError(f"the weights in {folder} lack {listed}: {WANTED}")
        if names:
            return cls(network, processor, names, np.arange(len(names), dtype=np.uint8), device)
        names = standard_regions().names
        return cls(network, processor, names, map_labels(labels, folder), device)

    @classmethod
    def fresh(cls, names, size: int = 128, device="cpu"):
        """A small one with random weights, whose labels are names of regions."""
        from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

        config = SegformerConfig(id2label=dict(enumerate(names)), **SMALL)
        processor = SegformerImageProcessor(size=dict(height=size, width=size), do_reduce_labels=False)
        network = SegformerForSemanticSegmentation(config)
        return cls(network, processor, names, np.arange(len(names), dtype=np.uint8), device)

    def logits(self, x):
        x = (x - self.mean.to(x)) / self.deviation.to(x)
        return [interpolate(self.network(x).logits, x.shape[2:], mode="bilinear")]

    @property
    def labels(self):
        return tuple(self.network.config.id2label[i] for i in range(len(self.regions)))

    def parse(self, image):
        return self._find_by_parts(self._find_labels, np.asarray(image)[None])[0]

    def _segment(self, images):
        return self.regions[self._find_labels(images)]

    def _find_labels(self, images):
        x = self.processor(images=list(images), return_tensors="pt").pixel_values.to(self.device)
        logits = interpolate(self.network(x).logits, images.shape[1:3], mode="bilinear")
        return choose_regions(logits).cpu().numpy()

    def save(self, path, metadata: dict[str, str]) -> None:
        """Write the folder that `load` reads; it appears whole or not at all."""
        path = Path(path)
        if path.exists() and not (path / "config.json").is_file():
            raise ValueError(f"{path} is there and holds no model: give another place for the folder")
        self.network.config.update(dict(regions=list(self.names), **metadata))

        def write(folder):
            self.network.save_pretrained(folder)
            self.processor.save_pretrained(folder)

        write_atomically(path, write)


def check_folder(folder: Path) -> tuple[list[str], list[str]]:
    """The labels of a folder's model by their numbers, and the regions that it was trained on here, if so."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no segmenter at {folder}: {WANTED}; {ROUGH}")
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: {WANTED}; {ROUGH}")
    config = read_json(folder / "config.json")
    if config.get("model_type") != "segformer":
        raise ValueError(f"{folder} holds the model {config.get('model_type')!r}, no SegFormer: {WANTED}")
    numbered, regions = config.get("id2label") or {}, config.get("regions") or []
    try:
        labels = [numbered[number] for number in sorted(numbered, key=int)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'}: id2label must give each number its label") from error
    for key, texts in (("id2label", labels), ("regions", regions)):
        wrong = [text for text in texts if not isinstance(text, str)] if isinstance(texts, list) else [texts]
        if wrong:
            raise ValueError(f"{folder / 'config.json'}: {key} must list texts, got {wrong[0]!r}")
    return labels, regions


@cache
def read_label_table() -> dict[str, str]:
    """Region name by label, as labels.yaml lists them."""
    table, names = read_yaml(LABELS_FILE), standard_regions().names
    if not isinstance(table, dict) or (unknown := [name for name in table if name not in names]):
        found = unknown[0] if isinstance(table, dict) else table
        raise ValueError(f"{LABELS_FILE} lists labels for {', '.join(names)}, got {found!r}")
    for region, labels in table.items():
        texts = labels if isinstance(labels, list) else [labels]
        if wrong := [label for label in texts if not isinstance(label, str) or texts is not labels]:
            raise ValueError(f"{LABELS_FILE}: {region} wants a list of labels, got {wrong[0]!r}")
    return {plain_label(label): region for region, labels in table.items() for label in labels}


def map_labels(labels: list[str], folder=""):
    """The standard region id of each label, uint8 (labels,); ValueError if no label is a region."""
    names, table = standard_regions().names, read_label_table()
    ids = [names.index(table.get(plain_label(label), names[0])) for label in labels]
    if not any(ids):
        raise ValueError(
            f"{folder}: none of the labels {', '.join(labels)} is a region; add them to {LABELS_FILE.name} "
            f"beside {Path(__file__).name}, or take a model of garments"
        )
    return np.array(ids, np.uint8)


def plain_label(label: str) -> str:
    """A label without what differs between publishers: case, hyphens and underscores."""
    return label.strip().lower().replace("-", " ").replace("_", " ")
