"""CLIP-Interrogator here and as the package clip-interrogator does it: same model, same labels, same machine.

python benchmarks/bench_captions.py                              # ViT-L/14, minutes on a CPU, 3 GB of memory
python benchmarks/bench_captions.py --clip small --labels 5000 --candidates 16    # whether it runs

Weights and label vectors are random, which changes no time; what both sides say is compared. In modes fast
and classic the package ranks for one picture after the other, this project for a batch; both start from the
picture's features, as encoding a picture is the same arithmetic on both sides and is timed on its own. Mode
best is a chain of rounds, each of which scores all candidates behind the prompt so far: one round is timed.
Times are CPU seconds, of all threads together, so that other work on the machine changes them little.
"""

import argparse
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
PREFIX = (
    "a woman in a long red evening gown with a black leather belt standing in front of a white wall "
    "on a bright sunny day"
)
SMALL = dict(
    embed_dim=64,
    vision_cfg=dict(image_size=32, layers=2, width=64, patch_size=8),
    text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=2, layers=2),
)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--clip", default="ViT-L-14", help="open_clip's name, or small (default: %(default)s)"
    )
    for name, default, meaning in (
        ("labels", 0, "of the published lists, 0 for all"),
        ("batch", 64, "pictures that this project ranks at once"),
        ("single", 4, "pictures that the package ranks one by one, and that both sides encode"),
        ("candidates", 128, "labels of a round of mode best"),
        ("rounds", 3, "times that each part is timed; the median counts"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: {default})")
    return parser.parse_args()


def make_clip(name):
    """(this project's Clip, random)."""
    import open_clip
    import torch

    from annotator.caption.clip_model import Clip

    torch.manual_seed(0)
    if name == "small":
        from open_clip.model import CLIP
        from open_clip.transform import image_transform

        model, preprocess = CLIP(**SMALL), image_transform(32, is_train=False)
    else:
        model, _, preprocess = open_clip.create_model_and_transforms(name, pretrained=None)
    return Clip(model, preprocess, open_clip.get_tokenizer("ViT-L-14"))


def make_words(limit):
    """The published lists, or the first labels of each in proportion."""
    import dataclasses

    from annotator.caption.clip_labels import read_published_lists

    words = read_published_lists()
    total = sum(map(len, words.labels.values()))
    share = limit / total if limit else 1
    kept = {name: labels[: max(40, round(len(labels) * share))] for name, labels in words.labels.items()}
    return dataclasses.replace(words, labels=kept)


def make_program(clip, words, vectors):
    """The package's program with the same model, labels and vectors."""
    import numpy as np
    import open_clip
    from clip_interrogator import Config, Interrogator, LabelTable

    class Table(LabelTable):
        def __init__(self, labels, part, program):
            self.labels, self.embeds = list(labels), list(np.asarray(part))
            self.config, self.chunk_size, self.device = program.config, program.config.chunk_size, "cpu"

    class Program(Interrogator):
        def load_clip_model(self):
            self.clip_model, self.clip_preprocess = clip.model, clip.preprocess
            self.tokenize = open_clip.get_tokenizer("ViT-L-14")
            start = 0
            for name, labels in words.labels.items():
                setattr(self, name, Table(labels, vectors[start : start + len(labels)], self))
                start += len(labels)

    config = Config(caption_model_name=None, device="cpu", quiet=True)
    config.cache_path = None
    return Program(config)


def seconds(rounds, work):
    """(median CPU seconds of some calls, what the last one returned)."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2], result


def compare_encoding(clip, program, pictures):
    """Pictures one by one and all at once."""
    import torch
    from PIL import Image

    def theirs():
        return [program.image_to_features(Image.fromarray(picture)) for picture in pictures]

    (slow, one), (fast, ours) = seconds(1, theirs), seconds(1, lambda: clip.encode_images(pictures))
    difference = float((torch.cat(one) - ours).abs().max())
    return "encoding a picture", slow / len(pictures), fast / len(pictures), f"within {difference:.0e}"


def compare_mode(mode, captioner, program, features, arguments):
    """Captions from pictures' features: the package's for some, one by one, ours for all."""
    say, slow, texts = getattr(program, f"interrogate_{mode}"), [], []
    for feature in features[: arguments.single]:
        program.image_to_features = lambda image, feature=feature: feature[None]
        took, text = seconds(1, lambda: say(None, caption=PREFIX))
        slow.append(took)
        texts.append(text)
    captioner.clip.encode_images = lambda images: features
    batch = [[given] * len(features) for given in (None, PREFIX, None)]
    fast, captions = seconds(arguments.rounds, lambda: captioner.caption_from(*batch))
    same = sum(text == caption.text for text, caption in zip(texts, captions, strict=False))
    slow = sorted(slow)[len(slow) // 2]
    return f"mode {mode}", slow, fast / len(features), f"{same} of {len(texts)} texts equal"


def compare_round(captioner, program, feature, labels, rounds):
    """All candidates behind a prompt."""
    texts = [f"{PREFIX}, {label}" for label in labels]
    slow, chosen = seconds(1, lambda: program.rank_top(feature[None], texts))
    captioner.chain.cosines(feature, labels, behind=PREFIX)  # labels' tokens are looked up once a run
    fast, cosines = seconds(rounds, lambda: captioner.chain.cosines(feature, labels, behind=PREFIX))
    same = "the same label" if texts[int(cosines.argmax())] == chosen else "ANOTHER LABEL"
    return "mode best, a candidate of a round", slow / len(texts), fast / len(texts), same


def compare(arguments):
    """Rows (what, the package's seconds, ours, what was compared), and how many labels there are."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    from annotator.caption.captioners import InterrogatorOptions
    from annotator.caption.clip_interrogator import Interrogator

    clip, words, rng = make_clip(arguments.clip), make_words(arguments.labels), np.random.default_rng(0)
    num_labels, width = sum(map(len, words.labels.values())), clip.encode_texts([""]).shape[1]
    vectors = normalize(torch.randn(num_labels, width), dim=-1).half().float()
    program = make_program(clip, words, vectors)
    features = normalize(torch.randn(arguments.batch, width), dim=-1)
    pictures = [rng.integers(0, 256, (768, 512, 3), dtype=np.uint8) for _ in range(arguments.single)]
    rows = [compare_encoding(clip, program, pictures)]
    for mode in ("fast", "classic"):
        captioner = Interrogator(clip, vectors, words, InterrogatorOptions(mode=mode))
        rows.append(compare_mode(mode, captioner, program, features, arguments))
    labels = words.labels["flavors"][: arguments.candidates]
    rows.append(compare_round(captioner, program, features[0], labels, arguments.rounds))
    return rows, num_labels


def main():
    arguments = parse_arguments()
    import torch

    rows, num_labels = compare(arguments)
    print("| | package, CPU ms | here, CPU ms | ratio | results |\n|---|---|---|---|---|")
    for what, slow, fast, same in rows:
        print(f"| {what} | {1000 * slow:.3g} | {1000 * fast:.3g} | {slow / fast:.1f} | {same} |")
    print(
        f"\n{arguments.clip}, {num_labels:,} labels, {arguments.batch} pictures a batch here, float32, "
        f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
