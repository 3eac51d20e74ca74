"""The person's and the garment's U-Net of try-on."""

import torch
from torch import nn

from cldm.cldm import ControlledUnetModel
from cldm.tryon.attention import ReferenceTransformer, Tokens, build_transformer
from ldm.modules.diffusionmodules.openaimodel import UNetModel, run_layer
from ldm.util import check_known

TRAINED = ("none", "first", "attn1", "attn1_kv", "reference", "image", "transformers", "decoder", "all")


class ReferenceUNet(UNetModel):
    """A U-Net whose transformer blocks know their sites and read Tokens.

    norm, mix, context: see cldm.tryon.attention.build_transformer; all else is UNetModel's.
    Raises:
        ValueError: transformers of more than one block, whose sites would not be unique.
    """

    def __init__(self, norm="pre", mix="concat", context="text", **options):
        if options.get("transformer_depth", 1) != 1:
            raise ValueError(f"transformer_depth must be 1 for try-on, got {options['transformer_depth']}")
        self.transformer = build_transformer(norm, mix, context)
        super().__init__(**options)
        for site, transformer in self.named_sites():
            transformer.site = transformer.transformer_blocks[0].site = site

    def named_sites(self):
        """(name, transformer) of every place that tokens can enter, in the order in which they run."""
        return [(name, m) for name, m in self.named_modules() if isinstance(m, ReferenceTransformer)]

    def record(self, x, emb, text, sites, first=None):
        """What the blocks of some sites record of latents (b, c, h, w), by site; stops at the last of them.

        emb: (b, 4 model_channels). first: a convolution in the place of this U-Net's own first one.
        """
        recorded, skips, context = {}, [], Tokens(text)
        num_skips = len(self.input_blocks)
        for i, block in enumerate(self._blocks()):
            if i > num_skips:  # behind the middle block
                x = torch.cat([x, skips.pop()], dim=1)
            for layer in [first] if first is not None and i == 0 else block:
                if getattr(layer, "site", None) == sites[-1]:
                    return {**recorded, layer.site: layer.record(x)}
                if getattr(layer, "site", None) in sites:
                    x, recorded[layer.site] = layer.forward_recording(x, context)
                else:
                    x = run_layer(layer, x, emb, context)
            if i < num_skips:
                skips.append(x)
        raise AssertionError("the last site is one of the blocks'")

    def _blocks(self):
        return [*self.input_blocks, self.middle_block, *self.output_blocks]


class PersonUNet(ReferenceUNet, ControlledUnetModel):
    """Latents, timesteps and Tokens -> prediction; residuals of a control branch are added as ever."""


class HalfLockedUNet(PersonUNet):
    """A PersonUNet whose encoder and middle run without gradients, unless they train (AnyDoor).

    So nothing that enters them, such as the projected tokens of an image, learns by way of them.
    """

    def encode(self, x, emb, context, stem_residual=None):
        halves = self.input_blocks, self.middle_block
        trains = any(parameter.requires_grad for half in halves for parameter in half.parameters())
        with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
            return super().encode(x, emb, context, stem_residual)


class GarmentUNet(ReferenceUNet):
    """A U-Net that is run for what its blocks record; what lies behind the last site never runs.

    sites: those to record, None all of them.
    """

    def __init__(self, sites=None, **options):
        super().__init__(**options)
        self.sites = choose_sites([name for name, _ in self.named_sites()], sites)

    def forward(self, x, emb, text):
        """Garment latents (b, c, h, w), embedding (b, 4 model_channels), text -> {site: tokens (b, m, c)}."""
        return self.record(x, emb, text, self.sites)

    def unused_parts(self) -> list[nn.Module]:
        """What lies behind the last site: no gradient reaches it, so it does not train."""
        behind, unused = False, [self.out]
        for block in self._blocks():
            for layer in block:
                if behind:
                    unused.append(layer)
                if getattr(layer, "site", None) == self.sites[-1]:
                    behind, first = True, layer.transformer_blocks[0]
                    unused += [layer.proj_out, *first.unused_when_recorded(), *layer.transformer_blocks[1:]]
        return unused


def choose_sites(known: list[str], chosen) -> list[str]:
    """Sites in the order in which they run: all (None), "encoder", "middle", "decoder", or those of a list.

    Raises:
        ValueError: a name that is no site of this U-Net.
    """
    parts = {"encoder": "input_blocks.", "middle": "middle_block.", "decoder": "output_blocks."}
    if chosen is None:
        return list(known)
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    found = set()
    for name in chosen:
        matches = [site for site in known if site == name or name in parts and site.startswith(parts[name])]
        if not matches:
            raise ValueError(f"sites: {name!r} is none of encoder, middle, decoder, {', '.join(known)}")
        found.update(matches)
    return [site for site in known if site in found]


def choose_trained(unet: ReferenceUNet, policy: str) -> list[nn.Module]:
    """The modules of a U-Net that train, by names of TRAINED joined by +.

    Raises:
        ValueError: an unknown name.
    """
    chosen = []
    for name in policy.split("+"):
        check_known(name, TRAINED, "choice of what trains,")
        chosen += _chosen(unet, name)
    return chosen


def _chosen(unet, name):
    transformers = [transformer for _, transformer in unet.named_sites()]
    blocks = [block for transformer in transformers for block in transformer.transformer_blocks]
    whole = {
        "none": [],
        "all": [unet],
        "first": [unet.input_blocks[0][0]],
        "decoder": [unet.output_blocks, unet.out],
        "transformers": transformers,
        "attn1": [block.attn1 for block in blocks],
    }
    if name in whole:
        return whole[name]
    attentions = [block.attn2 if name == "image" else block.attn1 for block in blocks]
    wanted = {"attn1_kv": ("to_k", "to_v"), "reference": ("_ref",), "image": ("_ip",)}[name]
    return [
        part for attention in attentions for key, part in attention.named_children() if key.endswith(wanted)
    ]


def arrange_inputs(weight, reads: dict[str, int], wanted: dict[str, int]):
    """A first convolution (c, n, 3, 3) for other inputs, whose channels both dicts count by name, in order.

    Inputs that it has not read start at zero.
    """
    parts = dict(zip(reads, weight.split(list(reads.values()), dim=1), strict=True))
    rows, _, *kernel = weight.shape
    return torch.cat(
        [parts.get(name, weight.new_zeros(rows, num, *kernel)) for name, num in wanted.items()], 1
    )


def widen_first_convolution(weight, in_channels: int):
    """A first convolution (c, n, 3, 3) for more input channels: those that it has not read start at zero.

    Raises:
        ValueError: it has more input channels already.
    """
    if weight.shape[1] > in_channels:
        raise ValueError(
            f"the base reads {weight.shape[1]} channels, more than the {in_channels} of the yaml"
        )
    wide = weight.new_zeros(weight.shape[0], in_channels, *weight.shape[2:])
    wide[:, : weight.shape[1]] = weight
    return wide
