"""What the shipped tiny base is worth: the autoencoder's PSNR, and garment colours that follow the caption.

python benchmarks/check_tiny_base.py                              # 64 held-out dolls, minutes on a CPU
python benchmarks/check_tiny_base.py --base runs/base/base.safetensors --sheet sheet.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
SEED = 77  # of the dolls: neither base nor judge was trained on them


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="models/tiny/base.safetensors", help="default: %(default)s")
    parser.add_argument(
        "--segmenter", default="models/tiny/segmenter.safetensors", help="default: %(default)s"
    )
    parser.add_argument("--num", type=int, default=64, help="dolls and samples (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="of DDIM (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=3.0, help="guidance (default: %(default)s)")
    parser.add_argument("--sheet", help="PNG of captions' samples to write")
    return parser.parse_args()


def reconstruction_psnr(model, photos):
    """Mean PSNR in dB of photos uint8 (n, H, W, 3) that went through the autoencoder's mean."""
    import torch

    from learning.base.autoencoder import psnr, to_unit_range

    x = to_unit_range(torch.from_numpy(photos))
    autoencoder = model.first_stage_model
    with torch.no_grad():
        return float(psnr(autoencoder.decode(autoencoder.encode(x).mode()), x).mean())


def colours_that_follow(pictures, found, dolls, names):
    """(right, named): named garments, and those whose region's median colour is nearest to the named colour.

    A garment whose region is under 20 pixels counts as wrong.
    """
    import numpy as np

    from preparation.paperdoll import nearest_colour

    right = named = 0
    for picture, ids, doll in zip(pictures, found, dolls, strict=True):
        for garment in doll.instances:
            if garment.region is None:
                continue
            pixels = picture[ids == names.index(garment.region)]
            named += 1
            right += len(pixels) >= 20 and nearest_colour(np.median(pixels, axis=0)) == garment.colour
    return right, named


def main():
    arguments = parse_arguments()
    import numpy as np
    import torch
    from einops import rearrange
    from PIL import Image

    from annotator.segment import PixelSegmenter
    from cldm.logger import grid
    from generation.generate import Settings, sample
    from ldm.checkpoint import read_state_dict
    from learning.base.stages import base_of
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE
    from preparation.paperdoll import draw

    names = HintEncoder.from_file(REGIONS_FILE).names
    judge = PixelSegmenter.load(arguments.segmenter)
    model = base_of("models/cldm_tiny.yaml").eval()
    model.load_state_dict(read_state_dict(arguments.base))
    dolls = [draw(SEED, i, 128) for i in range(arguments.num)]
    photos = np.stack([doll.photo for doll in dolls])
    print(f"autoencoder: {reconstruction_psnr(model, photos):.2f} dB PSNR on {len(dolls)} held-out dolls")
    settings = Settings(steps=arguments.steps, scale=arguments.scale, seed=SEED)
    pictures = []
    for start in range(0, len(dolls), 16):
        captions = [doll.caption for doll in dolls[start : start + 16]]
        pictures.append(sample(model, None, captions, settings, (128, 128)))
    pictures = np.concatenate(pictures)
    right, named = colours_that_follow(pictures, judge.segment(pictures), dolls, names)
    print(f"colours: {right} of {named} named garments ({right / named:.0%}) have the caption's colour")
    if arguments.sheet:
        tiles = rearrange(torch.from_numpy(pictures), "b h w c -> b c h w") / 255
        Image.fromarray(grid(tiles, 8)).save(arguments.sheet)


if __name__ == "__main__":
    main()
