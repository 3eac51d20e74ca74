"""What a tiny base is worth, on dolls that it has not seen: autoencoder, base, repainting.

python benchmarks/doll_reader.py                                  # once: who reads eyes, mouths and kinds
python benchmarks/check_tiny_base.py --sheet sheet.png            # the shipped one, minutes on a CPU
python benchmarks/check_tiny_base.py --base runs/base/base.safetensors \\
    --segmenter runs/segmenter/segmenter.safetensors

Repainting is checked where repainting.safetensors, its first convolution for that, lies beside the base.
"""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
SEED = 77  # of the dolls: neither base nor judge nor reader was trained on them
REGIONS = ("top", "bottom", "whole", "head")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="models/tiny/base.safetensors", help="default: %(default)s")
    parser.add_argument("--config", default="models/cldm_tiny.yaml", help="default: %(default)s")
    parser.add_argument(
        "--segmenter", default="models/tiny/segmenter.safetensors", help="default: %(default)s"
    )
    parser.add_argument("--reader", default="runs/doll_reader.safetensors", help="default: %(default)s")
    parser.add_argument("--num", type=int, default=64, help="dolls and samples (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="of DDIM (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=3.0, help="guidance (default: %(default)s)")
    parser.add_argument(
        "--sheet", help="PNG of captions' samples to write; another with repaintings beside it"
    )
    parser.add_argument("--only", choices=("autoencoder", "base", "repainting"), help="default: all three")
    return parser.parse_args()


def sharpness(photos):
    """Mean variance of the Laplacian of photos uint8 (n, H, W, 3), in grey."""
    import cv2
    import numpy as np

    grey = [cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) for photo in photos]
    return float(np.mean([cv2.Laplacian(picture, cv2.CV_64F).var() for picture in grey]))


def colour_error(first, second, masks):
    """Mean distance in Lab (CIE76) between the mean colours of two batches of photos inside masks."""
    import cv2
    import numpy as np

    def mean_lab(photo, mask):
        return cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[mask].mean(axis=0)

    pairs = zip(first, second, masks, strict=True)
    return float(np.mean([np.linalg.norm(mean_lab(a, m) - mean_lab(b, m)) for a, b, m in pairs]))


def reconstruct(model, photos):
    """Photos uint8 (n, H, W, 3) through the autoencoder's mean, and the mean PSNR in dB."""
    import numpy as np
    import torch
    from einops import rearrange

    from learning.base.autoencoder import psnr, to_signed_range

    x, autoencoder = to_signed_range(torch.from_numpy(np.ascontiguousarray(photos))), model.first_stage_model
    with torch.no_grad():
        again = torch.cat([autoencoder.decode(autoencoder.encode(part).mode()) for part in x.split(32)])
    error = float(psnr(again, x).mean())
    again = ((again.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return rearrange(again, "b c h w -> b h w c").numpy(), error


def check_autoencoder(model, num):
    """Print PSNR, colour error, sharpness, told-apart alternatives and what each latent channel counts."""
    import numpy as np
    import torch

    from learning.base.autoencoder import find_sensitivities
    from paperdoll.alternatives import nearest, redraw, redraw_products
    from paperdoll.scene import draw_product
    from paperdoll.tryon import SIZE, arrange

    fittings = [arrange(SEED, i) for i in range(num)]
    worn = [fitting.wear().drawing for fitting in fittings]
    products = [draw_product(fitting.garment, SIZE) for fitting in fittings]
    for name, drawings, redrawn in (("worn", worn, redraw), ("product", products, redraw_products)):
        photos, masks = np.stack([d.photo for d in drawings]), [d.mask(garment=1) for d in drawings]
        again, error = reconstruct(model, photos)
        print(
            f"autoencoder, {name}: {error:.2f} dB PSNR, "
            f"colours {colour_error(photos, again, masks):.2f} off, "
            f"sharpness {sharpness(again) / sharpness(photos):.2f} of the pictures'"
        )
        told = {}
        for fitting, picture in zip(fittings, again, strict=True):
            mask = fitting.agnostic_mask() if name == "worn" else None
            of_what = (fitting,) if name == "worn" else (fitting.garment, SIZE)
            for attribute, pictures in redrawn(*of_what).items():
                told.setdefault(attribute, []).append(nearest(picture, pictures, mask) == 0)
        parts = ", ".join(f"{attribute} {np.mean(right):.3f}" for attribute, right in told.items())
        print(f"  alternatives told apart: {np.mean(sum(told.values(), [])):.3f} ({parts})")
    photos = torch.from_numpy(np.stack([drawing.photo for drawing in worn[:16]]))
    found = find_sensitivities(model.first_stage_model, photos)
    counted = " ".join(f"{x:.2f}" for x in found)
    print(f"autoencoder, what noise in each latent channel does to pictures, mean 1: {counted}")


def colours_that_follow(pictures, found, dolls, names):
    """(right, named): named garments, and those of whose region most pixels are nearest to the named colour.

    A garment whose region is under 20 pixels counts as wrong.
    """
    from paperdoll import nearest_colour

    right = named = 0
    for picture, ids, doll in zip(pictures, found, dolls, strict=True):
        for garment in doll.instances:
            if garment.region is None:
                continue
            pixels = picture[ids == names.index(garment.region)]
            shown = [nearest_colour(pixel) for pixel in pixels[:: max(1, len(pixels) // 100)]]
            named += 1
            right += len(pixels) >= 20 and max(set(shown), key=shown.count) == garment.colour
    return right, named


def draw_samples(model, captions, size, arguments, known=None):
    """Pictures uint8 (n, H, W, 3) of captions; `known` (n, c + 1, h, w) is what is to be kept."""
    import numpy as np
    import torch
    from einops import rearrange

    from cldm.denoisers import guided_denoiser
    from ldm.models.diffusion.samplers import ddim
    from ldm.modules.diffusionmodules.util import make_ddim_timesteps

    timesteps, pictures = (
        make_ddim_timesteps(model.timestep_spacing, arguments.steps, model.num_timesteps),
        [],
    )
    with torch.no_grad():
        for start in range(0, len(captions), 16):
            part = captions[start : start + 16]
            texts = model.get_learned_conditioning(part), model.get_unconditional_conditioning(len(part))
            conds = [dict(c_crossattn=[text]) for text in texts]
            if known is not None:
                conds = [cond | dict(known=[known[start : start + 16]]) for cond in conds]
            generators = [torch.Generator().manual_seed(SEED + start + i) for i in range(len(part))]
            shape = (model.channels, size[0] // 8, size[1] // 8)
            noise = torch.stack([torch.randn(shape, generator=g) for g in generators])
            denoise = guided_denoiser(model, *conds, scale=arguments.scale)
            latents = ddim(denoise, noise, model.alphas_cumprod, timesteps)
            pictures.append((model.decode_first_stage(latents).clamp(-1, 1) + 1) * 127.5)
    return (
        rearrange(torch.cat(pictures).round().to(torch.uint8), "b c h w -> b h w c").numpy().astype(np.uint8)
    )


def report_things(read, dolls, what):
    """Print how often faces and kinds are right, by what the reader found."""
    import numpy as np
    from doll_reader import has_face, kinds_shown

    barefaced = [i for i, doll in enumerate(dolls) if not any(g.kind == "sunglasses" for g in doll.outfit)]
    faces = np.mean([has_face(read[i]) for i in barefaced])
    kinds = np.sum([kinds_shown(ids, doll) for ids, doll in zip(read, dolls, strict=True)], axis=0)
    share = kinds[0] / kinds[1]
    print(f"{what}: faces {faces:.1%} of {len(barefaced)}, kinds {kinds[0]} of {kinds[1]} ({share:.1%})")


def write_sheet(path, pictures, columns=8):
    """A contact sheet of pictures uint8 (n, H, W, 3)."""
    import torch
    from einops import rearrange
    from PIL import Image

    from cldm.logger import grid

    tiles = rearrange(torch.from_numpy(pictures), "b h w c -> b c h w") / 255
    Image.fromarray(grid(tiles, columns)).save(path)


def check_base(model, arguments):
    """Print the gates of samples of held-out captions, beside those of the dolls themselves."""
    import numpy as np

    from annotator.segment import PixelSegmenter
    from paperdoll import draw
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    names = HintEncoder.from_file(REGIONS_FILE).names
    judge, reader = (PixelSegmenter.load(path) for path in (arguments.segmenter, arguments.reader))
    dolls = [draw(SEED, i, 128) for i in range(arguments.num)]
    photos = np.stack([doll.photo for doll in dolls])
    again, error = reconstruct(model, photos)
    print(f"autoencoder: {error:.2f} dB PSNR on {len(dolls)} held-out dolls")
    samples = draw_samples(model, [doll.caption for doll in dolls], (128, 128), arguments)
    for what, pictures in (("dolls", photos), ("dolls, autoencoder", again), ("base", samples)):
        right, named = colours_that_follow(pictures, judge.segment(pictures), dolls, names)
        sharp = f"sharpness {sharpness(pictures):.0f}"
        print(f"{what}: colours {right} of {named} ({right / named:.1%}) as the caption says, {sharp}")
        report_things(reader.segment(pictures), dolls, what)
    if arguments.sheet:
        write_sheet(arguments.sheet, samples)


def check_repainting(model, arguments):
    """Print what repainting keeps and how sharp its part is, and write a sheet of person, hole, result."""
    import numpy as np

    from learning.base.groups import encode_group
    from paperdoll.base_pictures import Pictures
    from paperdoll.tryon import SIZE, arrange

    fittings = [arrange(SEED, i) for i in range(arguments.num)]
    photos = np.stack([fitting.wear().drawing.photo for fitting in fittings])
    masks = np.stack([fitting.agnostic_mask() for fitting in fittings])
    group = encode_group(model, 1.0, Pictures(photos, [""] * len(photos), masks), repainted=1.0)
    pictures = draw_samples(model, group.prompts, SIZE, arguments, group.known.float())
    again, _ = reconstruct(model, photos)
    outside = np.mean(
        [np.abs(a.astype(int) - b)[~m].mean() for a, b, m in zip(pictures, again, masks, strict=True)]
    )
    ratio = sharpness(pictures * masks[..., None]) / sharpness(photos * masks[..., None])
    print(
        f"repainting: {outside:.1f} of 255 off outside the mask, sharpness inside {ratio:.2f} of the dolls'"
    )
    if arguments.sheet:
        holes = np.where(masks[..., None], 128, photos).astype(np.uint8)
        rows = np.stack([photos, holes, pictures], 1)[:32]
        path = Path(arguments.sheet)
        write_sheet(
            path.with_name(f"{path.stem}_repainting{path.suffix}"), rows.reshape(-1, *rows.shape[2:]), 12
        )


def main():
    arguments = parse_arguments()
    from learning.base.stages import load_base

    repainting = Path(arguments.base).with_name("repainting.safetensors")
    model = load_base(arguments.config, arguments.base, repainting if repainting.is_file() else None)
    if arguments.only in (None, "autoencoder"):
        check_autoencoder(model, arguments.num)
    if arguments.only in (None, "base"):
        check_base(model, arguments)
    if repainting.is_file() and arguments.only in (None, "repainting"):
        check_repainting(model, arguments)


if __name__ == "__main__":
    main()
