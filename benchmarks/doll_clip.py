"""Train a small CLIP on paper dolls, so that interrogated captions of dolls can be right or wrong.

python benchmarks/doll_clip.py                    # to runs/doll_clip, minutes on one core
python benchmarks/doll_clip.py --steps 20 --out runs/doll_clip_trial

The folder has open_clip's own layout and loads as ViT-L-14 does. A text is one to three garments with their
colours; whether a picture shows them is known from the annotation, and learned with a sigmoid for each pair
of picture and text (SigLIP, arXiv 2303.15343, equation 1), here with that truth instead of the diagonal.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
DATA, NUM, SEED = "data/dolls", 4000, 3  # the dolls that the default run trains on
CONFIG = dict(
    embed_dim=128,
    vision_cfg=dict(image_size=128, layers=[1, 1, 1, 1], width=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=128, heads=4, layers=3),
    init_logit_bias=-6.0,
)
PREPROCESS = dict(mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic")
BATCH, TEXTS = 64, 192


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1200, help="of the optimizer (default: %(default)s)")
    parser.add_argument("--out", default="runs/doll_clip", help="folder to write (default: %(default)s)")
    return parser.parse_args()


def garments_of(instances) -> frozenset[str]:
    """'red dress' for each annotated garment of a doll (no parts), in the words of words.yaml."""
    from annotator.imaterialist.words import read_words

    nouns = read_words()["categories"]
    names = {category: words[0] for category, words in nouns["counted"].items()}
    names |= nouns["pairs"] | nouns["halves"]
    return frozenset(f"{g['colour']} {names[g['category']]}" for g in instances if g["category"] in names)


def read_dolls():
    """(pictures uint8 (n, 128, 128, 3), the garments of each)."""
    import numpy as np
    from PIL import Image

    from annotator.paperdoll import make_dolls

    folder = make_dolls(DATA, NUM, seed=SEED, workers=2)
    dolls = [json.loads(line) for line in (folder / "dolls.jsonl").read_text().splitlines()]
    pictures = np.stack([np.asarray(Image.open(folder / "train" / doll["image"])) for doll in dolls])
    return pictures, [garments_of(doll["instances"]) for doll in dolls]


def draw_texts(rng, garments, everything) -> list[tuple[str, ...]]:
    """Texts as tuples of garments of the batch's dolls; in one of three, one garment is another."""
    texts = []
    for place in range(TEXTS):
        own = sorted(garments[place % len(garments)])
        count = min(len(own), int(rng.choice([1, 1, 1, 2, 3])))
        text = [own[i] for i in rng.permutation(len(own))[:count]]
        if rng.random() < 1 / 3:
            text[int(rng.integers(count))] = everything[int(rng.integers(len(everything)))]
        texts.append(tuple(text))
    return texts


def train(steps: int):
    """A trained open_clip CLIP."""
    import numpy as np
    import torch
    from open_clip import get_tokenizer
    from open_clip.model import CLIP
    from torch.nn.functional import logsigmoid

    from annotator.caption.text_tower import TextTower

    torch.manual_seed(0)
    rng, (pictures, garments) = np.random.default_rng(0), read_dolls()
    everything = sorted({garment for doll in garments for garment in doll})
    model = CLIP(**CONFIG)
    tower = TextTower(model, get_tokenizer("ViT-B-32"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    start, order = time.monotonic(), []
    for step in range(1, steps + 1):
        if len(order) < BATCH:
            order = rng.permutation(len(pictures)).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        images = pictures[batch][:, :, :: int(rng.choice([-1, 1]))]
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
        texts = draw_texts(rng, [garments[i] for i in batch], everything)
        shown = torch.tensor([[garments[i].issuperset(text) for text in texts] for i in batch])
        vectors = tower.encode([tower.tokens(", ".join(text)) for text in texts])
        cosines = model.encode_image(pixels, normalize=True) @ vectors.T
        logits = model.logit_scale.exp() * cosines + model.logit_bias
        loss = -logsigmoid(torch.where(shown, logits, -logits)).sum() / len(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {loss:.3f}, {time.monotonic() - start:.0f} s", flush=True)
    return model.eval()


def save(model, folder) -> None:
    """Write a model in open_clip's folder layout."""
    from safetensors.torch import save as to_bytes

    from annotator.files import write_atomically

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(model_cfg=CONFIG, preprocess_cfg=PREPROCESS)
    write_atomically(folder / "open_clip_config.json", json.dumps(config, indent=1).encode())
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    write_atomically(folder / "open_clip_model.safetensors", to_bytes(state))


def main():
    arguments = parse_arguments()
    save(train(arguments.steps), arguments.out)
    print(f"{arguments.out}: a CLIP in open_clip's layout")


if __name__ == "__main__":
    main()
