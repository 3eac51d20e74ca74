"""The gauges that the given backbones allow, and what is missing for the others."""

from evaluation.inception import WANTED as INCEPTION_WANTED
from evaluation.inception import Inception
from evaluation.lpips import WANTED as LPIPS_WANTED
from evaluation.lpips import Lpips
from evaluation.metrics import ClipFeatures, Features, Likeness, Perception, Regions

SEGMENTER = (
    "no segmenter that knows such pictures: name one by --segmenter; models/tiny/segmenter.safetensors knows "
    "dolls, tutorial_train_segmenter.py --data trains one on a folder"
)
REGIONS = "the training folder has no regions.yaml, which names the regions of its maps"
CLIP = (
    "no --clip: a folder of open_clip_config.json and open_clip_model.safetensors, such as "
    "timm/vit_large_patch14_clip_224.openai, downloaded elsewhere"
)


class Choice:
    """`gauges`, `facts` of their backbones for the protocol, `missing`: metric -> why it is not measured."""

    def __init__(self):
        self.gauges, self.facts, self.missing = [], {}, {}

    def regions(self, judge, names, facts):
        """`judge` None: there is no segmenter; `names` None: there are no regions."""
        if judge is None or names is None:
            self.missing["mIoU"] = REGIONS if names is None else SEGMENTER
        else:
            self.gauges.append(Regions(judge, names))
            self.facts["segmenter"] = facts | dict(regions=list(names))

    def likeness(self, lpips_file, device):
        self.gauges.append(Likeness())
        if lpips_file is None:
            self.missing["LPIPS"] = f"no --lpips: {LPIPS_WANTED}"
        else:
            network = Lpips.load(lpips_file, device)
            self.gauges.append(Perception(network, dict(vgg="VGG-16", alex="AlexNet")[network.kind]))
            self.facts["lpips"] = network.facts(lpips_file)

    def features(self, inception_file, device):
        if inception_file is None:
            self.missing["FID and KID (Inception)"] = f"no --inception: {INCEPTION_WANTED}"
        else:
            network = Inception.load(inception_file, device)
            self.gauges.append(Features(network, network.name))
            self.facts["inception"] = network.facts(inception_file)

    def clip(self, clip, name, facts):
        if clip is None:
            self.missing["FID, KID (CLIP) and CLIP score"] = CLIP
        else:
            encoders = on_cpu(clip.encode_images), on_cpu(clip.encode_texts)
            self.gauges.append(ClipFeatures(*encoders, name))
            self.facts["clip"] = facts


def on_cpu(encode):
    """A function that gives as arrays what `encode` gives as tensors of any device."""
    return lambda given: encode(given).cpu().numpy()
