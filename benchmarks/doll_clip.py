"""Train a small CLIP on paper dolls, so that interrogated captions of dolls can be right or wrong.

python benchmarks/doll_clip.py                    # to runs/doll_clip, minutes on one core
python benchmarks/doll_clip.py --steps 20 --out runs/doll_clip_trial

The folder has open_clip's own layout and loads as ViT-L-14 does. A text is one garment with its colour, or
two or three of them. Which of them a picture shows is known from the annotation, and so each true text is
told from all untrue ones by a softmax: CLIP's loss (arXiv 2103.00020, figure 3), with several true texts.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
DATA, NUM, SEED = "data/clip_dolls", 4000, 3  # the first of them are the default run's
CONFIG = dict(
    embed_dim=128,
    vision_cfg=dict(image_size=128, layers=[1, 1, 1, 1], width=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=128, heads=4, layers=3),
)
PREPROCESS = dict(mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic")
BATCH, TEXTS = 32, 48


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="of the optimizer (default: %(default)s)")
    parser.add_argument("--out", default="runs/doll_clip", help="folder to write (default: %(default)s)")
    return parser.parse_args()


def garments_of(instances) -> frozenset[str]:
    """'red dress' for each annotated garment of a doll (no parts), in the words of words.yaml."""
    from annotator.imaterialist.annotations import read_words

    nouns = read_words()["categories"]
    names = {category: words[0] for category, words in nouns["counted"].items()}
    names |= nouns["pairs"] | nouns["halves"]
    return frozenset(f"{g['colour']} {names[g['category']]}" for g in instances if g["category"] in names)


def read_dolls():
    """(pictures uint8 (n, 128, 128, 3), the garments of each)."""
    import numpy as np
    from PIL import Image

    from paperdoll import make_dolls

    folder = make_dolls(DATA, NUM, seed=SEED, workers=2)
    dolls = [json.loads(line) for line in (folder / "dolls.jsonl").read_text().splitlines()]
    pictures = np.stack([np.asarray(Image.open(folder / "train" / doll["image"])) for doll in dolls])
    return pictures, [garments_of(doll["instances"]) for doll in dolls]


def draw_texts(rng, garments, everything) -> list[tuple[str, ...]]:
    """Texts of two or three garments of the batch's dolls; in half of them one has another colour or noun."""
    texts = []
    for place in range(TEXTS):
        own = sorted(garments[place % len(garments)])
        text = [own[i] for i in rng.permutation(len(own))[: int(rng.integers(2, 4))]]
        if rng.random() < 0.5:
            changed, part = int(rng.integers(len(text))), int(rng.integers(2))
            kept = text[changed].split()[part]
            text[changed] = str(rng.choice([one for one in everything if one.split()[part] == kept]))
        texts.append(tuple(text))
    return texts


def text_loss(logits, shown):
    """What tells each true text of a picture from all its untrue ones; `shown` (b, t) says which are true."""
    import torch
    from torch.nn.functional import softplus

    untrue = logits.masked_fill(shown, -torch.inf).logsumexp(dim=1, keepdim=True)
    return softplus(untrue - logits)[shown].mean()


def train(steps: int):
    """A trained open_clip CLIP."""
    import numpy as np
    import torch
    from open_clip import get_tokenizer
    from open_clip.model import CLIP

    from annotator.caption.clip_model import TextTower

    torch.manual_seed(0)
    rng, (pictures, garments) = np.random.default_rng(0), read_dolls()
    everything = sorted({garment for doll in garments for garment in doll})
    model = CLIP(**CONFIG).to(memory_format=torch.channels_last)
    tower = TextTower(model, get_tokenizer("ViT-B-32"))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    start, order = time.monotonic(), []
    for step in range(1, steps + 1):
        if len(order) < BATCH:
            order = rng.permutation(len(pictures)).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        images = pictures[batch][:, :, :: int(rng.choice([-1, 1]))]
        # (b, 3, h, w) with its memory in the pictures' own order: channels last
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        texts = [(one,) for one in everything] + draw_texts(rng, [garments[i] for i in batch], everything)
        shown = torch.tensor([[garments[i].issuperset(text) for text in texts] for i in batch])
        vectors = tower.encode([tower.tokens(", ".join(text)) for text in texts])
        cosines = model.encode_image(pixels, normalize=True) @ vectors.T
        loss = text_loss(model.logit_scale.exp() * cosines, shown)
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

    from jobs.whole_files import write_atomically

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
