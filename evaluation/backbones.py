"""The gauges that the given backbones allow, and what is missing for the others."""

from evaluation.checkpoints import find_run_segmenter
from evaluation.dino import WANTED as DINO_WANTED
from evaluation.dino import load_dino
from evaluation.fittings import of_category
from evaluation.garment_fidelity import GarmentFidelity
from evaluation.inception import WANTED as INCEPTION_WANTED
from evaluation.inception import Inception, squeeze, squeeze_as_clean_fid
from evaluation.lpips import BACKBONES, Lpips
from evaluation.lpips import WANTED as LPIPS_WANTED
from evaluation.metrics import (
    ClipFeatures,
    Features,
    GarmentLikeness,
    Likeness,
    Perception,
    PerceptionInMask,
    Regions,
)
from evaluation.redrawing import PHOTOGRAPHS
from generation.control_files import digest

SEGMENTER = (
    "no segmenter that knows such pictures: name one by --segmenter; models/tiny/segmenter.safetensors knows "
    "dolls, tutorial_train_segmenter.py --data trains one on a folder"
)
REGIONS = "the training folder has no regions.yaml, which names the regions of its maps"
CLIP = (
    "no --clip: a folder of open_clip_config.json and open_clip_model.safetensors, such as "
    "timm/vit_large_patch14_clip_224.openai, downloaded elsewhere"
)


NO_TRUTH = (
    "photographs in another garment than their own have no truth to compare with: leave --pairs out for them"
)


class Choice:
    """`gauges`, `facts` of their backbones for the protocol, `missing`: metric -> why it is not measured.

    Args:
        preset: an evaluation.presets.ProtocolPreset, which says which networks it wants; None wants any.
    """

    def __init__(self, preset=None):
        self.gauges, self.facts, self.missing, self.preset = [], {}, {}, preset

    def regions(self, judge, names, facts):
        """`judge` None: there is no segmenter; `names` None: there are no regions."""
        if judge is None or names is None:
            self.missing["mIoU"] = REGIONS if names is None else SEGMENTER
        else:
            self.gauges.append(Regions(judge, names))
            self.facts["segmenter"] = facts | dict(regions=list(names))

    def likeness(self, lpips_file, device, has_masks=False):
        self.gauges.append(Likeness())
        if lpips_file is None:
            self.missing["LPIPS"] = f"no --lpips: {LPIPS_WANTED}"
            return
        network = Lpips.load(lpips_file, device)
        if self.preset:
            self.preset.check_backbones(network.kind, None)
        self.gauges.append(Perception(network, BACKBONES[network.kind]))
        if has_masks:
            self.gauges.append(PerceptionInMask(network, BACKBONES[network.kind]))
        self.facts["lpips"] = network.facts(lpips_file)

    def features(self, inception_file, device):
        if inception_file is None:
            self.missing["FID and KID (Inception)"] = f"no --inception: {INCEPTION_WANTED}"
        else:
            way, times = (squeeze_as_clean_fid, 1000) if self.preset else (squeeze, 1)
            network = Inception.load(inception_file, device, way)
            if self.preset:
                self.preset.check_backbones(None, network.name)
            self.gauges.append(Features(network, network.name, times))
            self.facts["inception"] = network.facts(inception_file)

    def clip(self, clip, name, facts):
        """`clip`: an annotator.caption.clip_model.Clip, None where none is given."""
        if clip is None:
            self.missing["FID, KID (CLIP) and CLIP score"] = CLIP
        else:
            encoders = on_cpu(clip.encode_images), on_cpu(clip.encode_texts)
            self.gauges.append(ClipFeatures(*encoders, name))
            self.facts["clip"] = facts

    def fidelity(self, held_out, folder):
        """Of HeldOutFittings from a folder."""
        if held_out.redrawing is None:
            self.missing["garment@16, detail, ΔE"] = PHOTOGRAPHS.format(folder)
        else:
            self.gauges.append(GarmentFidelity())

    def garments(self, clip, name, dino_file, has_truth, device):
        """How much a network finds of the garment in a picture."""
        if clip is None:
            self.missing["CLIP-I, estimate"] = CLIP
        else:
            encode = on_cpu(clip.encode_images)
            self.gauges.append(GarmentLikeness(encode, f"CLIP-I ({name})", has_truth))
        if dino_file is None:
            self.missing["DINO similarity, estimate"] = f"no --dino: {DINO_WANTED}"
        else:
            encode, facts = load_dino(dino_file, device)
            self.gauges.append(GarmentLikeness(encode, f"DINO similarity ({facts['backbone']})", has_truth))
            self.facts["dino"] = facts

    def split(self, categories: dict[str, list[int]]):
        """Measure each category too, where there are several: category -> its items."""
        for gauge in self.gauges if len(categories) > 1 else []:
            parts = [of_category(m, *category) for m in gauge.metrics for category in categories.items()]
            gauge.metrics = [*gauge.metrics, *parts]


def load_clip(folder, device):
    """(a Clip or None, its name, its facts) of a command line's --clip."""
    if folder is None:
        return None, None, None
    from annotator.caption.clip_model import Clip

    facts = dict(folder=str(folder), sha256=digest(folder), pictures="padded to a square")
    return Clip.load(folder, device), f"CLIP {folder.name}", facts


def choose_for_maps(arguments, path, regions, device) -> Choice:
    """The gauges of controls, the first being at `path`; `regions`: what colours mean, None if unknown."""
    from annotator.segment import load_judge

    choice, judge, table = Choice(), None, arguments.data / "regions.yaml"
    names = regions.names if regions and table.is_file() else None
    if (file := arguments.segmenter or find_run_segmenter(path)) and names:
        judge = load_judge(file, table, device)
    choice.regions(judge and judge.segment, names, judge and dict(file=str(file), sha256=digest(file)))
    choice.likeness(arguments.lpips, device)
    choice.features(arguments.inception, device)
    choice.clip(*load_clip(arguments.clip, device))
    return choice


def choose_for_fittings(arguments, held_out, device) -> Choice:
    """The gauges of try-on, for HeldOutFittings."""
    choice, (clip, name, facts) = Choice(held_out.preset), load_clip(arguments.clip, device)
    choice.fidelity(held_out, arguments.data)
    if held_out.has_truth:
        choice.likeness(arguments.lpips, device, has_masks=True)
    else:
        choice.missing["SSIM, PSNR and LPIPS"] = NO_TRUTH
    choice.features(arguments.inception, device)
    choice.clip(clip, name, facts)
    choice.garments(clip, name, arguments.dino, held_out.has_truth, device)
    if not choice.gauges:
        raise ValueError(f"nothing can be measured without --clip, --dino or --inception: {NO_TRUTH}")
    choice.split(held_out.places_by_category())
    return choice


def on_cpu(encode):
    """A function that gives as arrays what `encode` gives as tensors of any device."""
    return lambda given: encode(given).cpu().numpy()
