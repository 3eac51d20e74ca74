"""Reference numbers of public try-on projects on small deterministic weights, by the names of cases.

    goldens = Goldens()                      # of goldens_tryon beside this file
    case = goldens["ootd/eps"]
    case.inputs["z"]                         # numpy, float32 (or the dtype said)
    case.weights["person"]()                 # {LDM name without prefix: float32 array}, made anew
    case.settings                            # numbers that belong to the case: heads, scales, ...
    rows = case.compare({"cond": my_array, ...})     # may be a part of case.expected
    assert report(rows)

This file knows nothing of an implementation: what each case means is said in `ABOUT` and in the README.
"""

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PERSON, GARMENT, CONTROL, VAE = (
    "model.diffusion_model.",
    "garment_model.",
    "control_model.",
    "first_stage_model.",
)
SITES = tuple(
    [f"input_blocks.{i}.1" for i in (1, 2, 4, 5, 7, 8)]
    + ["middle_block.1"]
    + [f"output_blocks.{i}.1" for i in range(3, 12)]
)  # order of the 16 recorded features
BLOCK = "input_blocks.4.1.transformer_blocks.0."  # the transformer block that the block cases take
FLOOR = 2e-5  # smallest tolerance
GRADIENT_FLOOR = 3e-4


# ---- deterministic numbers


def stream(text):
    return np.random.RandomState(zlib.crc32(text.encode("utf-8")) & 0xFFFFFFFF)


def weight(key, shape, seed=""):
    """z / sqrt(fan_in) for 2 and more axes, 1 + 0.1 z for a norm's scale, 0.1 z for the rest."""
    z = stream(seed + key).standard_normal(tuple(shape))
    if len(shape) >= 2:
        w = z / np.sqrt(float(np.prod(shape[1:])))
    elif key.endswith(".weight"):
        w = 1.0 + 0.1 * z
    else:
        w = 0.1 * z
    return w.astype(np.float32)


def array(name, shape, kind="normal", seed=""):
    rs = stream(seed + "tryon." + name)
    a = rs.standard_normal(tuple(shape)) if kind == "normal" else rs.random_sample(tuple(shape))
    return a.astype(np.float32)


def projection(key, g):
    """<g, r> in float64, r standard normal of the stream 'proj:' + key: it sees every entry of g."""
    r = stream("proj:" + key).standard_normal(np.shape(g))
    return float((np.asarray(g, dtype=np.float64) * r).sum())


def alphas_cumprod():
    """Stable Diffusion's noise schedule: cumulative product of 1 - beta, 1000 steps, float64."""
    return np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def noised(x_start, noise, t):
    a = alphas_cumprod()[t].astype(np.float32)[:, None, None, None]
    return np.sqrt(a) * x_start + np.sqrt(1 - a) * noise


# ---- comparison


@dataclass
class Row:
    name: str
    error: float
    tolerance: float

    @property
    def ok(self):
        return self.error <= self.tolerance


def error_of(reference, got):
    """max |a - b| / max |b|; exact for integers and texts; inf for another shape or what is not finite."""
    got = np.asarray(got)
    if reference.dtype.kind in "USiub":
        return 0.0 if reference.shape == got.shape and (reference == got).all() else float("inf")
    if reference.shape != got.shape or not np.isfinite(got).all():
        return float("inf")
    r, g = reference.astype(np.float64), got.astype(np.float64)
    return float(np.abs(r - g).max() / max(np.abs(r).max(), 1e-12)) if r.size else 0.0


def gradient_error(norms, reference, got):
    """Worst relative error over tensors; a (nearly) zero gradient is held to 1e-3 of the whole norm."""
    floor = 1e-3 * np.sqrt((norms.astype(np.float64) ** 2).sum())
    return float((np.abs(reference - np.asarray(got, np.float64)) / np.maximum(norms, floor)).max())


@dataclass
class Case:
    name: str
    about: str
    source: str
    inputs: dict
    weights: dict = field(default_factory=dict)  # network -> function giving {name: array}
    settings: dict = field(default_factory=dict)
    expected: dict = field(default_factory=dict)
    tolerances: dict = field(default_factory=dict)

    def compare(self, got):
        """Rows of what is both expected and given. Gradients are given as {key: array} under "gradients"."""
        rows = [
            Row(f"{self.name}/{k}", error_of(r, got[k]), self.tolerances.get(k, FLOOR))
            for k, r in self.expected.items()
            if k in got
        ]
        if "gradients" in got:
            rows += self.compare_gradients(got["gradients"])
        return rows

    def compare_gradients(self, gradients):
        """gradients: {full LDM name, as in grad_keys: array, or None where the tensor got no gradient}."""
        keys, norms = [str(k) for k in self.expected["grad_keys"]], self.expected["grad_norms"]
        missing = [k for k in keys if gradients.get(k) is None]
        if missing:
            print(f"{self.name}: {len(missing)} tensors without a gradient, the first is {missing[0]}")
            return [Row(f"{self.name}/gradients", float("inf"), 0.0)]
        arrays = [np.asarray(gradients[k], dtype=np.float64) for k in keys]
        got = {
            "grad_norms": np.array([np.sqrt((a**2).sum()) for a in arrays]),
            "grad_projections": np.array([projection(k, a) for k, a in zip(keys, arrays, strict=True)]),
        }
        return [
            Row(
                f"{self.name}/{k}",
                gradient_error(norms, self.expected[k], v),
                self.tolerances.get(k, GRADIENT_FLOOR),
            )
            for k, v in got.items()
        ]


def report(rows, quiet=False):
    """Print the rows that fail (all, unless quiet); whether all are right."""
    for row in rows:
        if not row.ok or not quiet:
            print(
                f"{'ok  ' if row.ok else 'FAIL'} {row.name:58s} error {row.error:8.1e}  "
                f"tolerance {row.tolerance:.1e}"
            )
    return all(row.ok for row in rows) and bool(rows)


# ---- the cases


class Goldens(dict):
    """Name -> Case of a folder with config.json, shapes.json, expected.npz, tolerances.json."""

    def __init__(self, folder=None):
        folder = Path(folder or Path(__file__).with_name("goldens_tryon"))

        def read(name):
            return json.loads((folder / name).read_text())

        self.config, self.shapes, self.tolerance = (
            read("config.json"),
            read("shapes.json"),
            read("tolerances.json"),
        )
        with np.load(folder / "expected.npz") as file:
            self.numbers = {k: file[k] for k in file.files}
        self.seed = self.config["seed"]
        for case in self._cases():
            head = case.name + "/"
            case.expected |= {k[len(head) :]: v for k, v in self.numbers.items() if k.startswith(head)}
            case.tolerances = {k[len(head) :]: v for k, v in self.tolerance.items() if k.startswith(head)}
            self[case.name] = case

    # -- numbers by name

    def array(self, name, shape, kind="normal"):
        return array(name, shape, kind, self.seed)

    def latent(self, name, batch=2, rows=1):
        return self.array(name, (batch, 4, rows * self.config["height"], self.config["width"]))

    def mask(self, name, shape):
        return (self.array(name, shape, "uniform") > 0.5).astype(np.float32)

    def cells(self, name):
        """Numbers in [0, 1), one for every 4 x 4 pixels of a picture (8 height, 8 width)."""
        cells = self.array(name, (2 * self.config["height"], 2 * self.config["width"]), "uniform")
        return np.kron(cells, np.ones((4, 4), np.float32))

    def picture(self, name):
        return self.array(name, (1, 3, 8 * self.config["height"], 8 * self.config["width"]), "uniform")

    # -- weights

    def state(self, prefix, shapes, in_channels=None):
        out = {}
        for name, shape in shapes.items():
            if in_channels and name == "input_blocks.0.0.weight":
                shape = [shape[0], in_channels, *shape[2:]]
            out[name] = weight(prefix + name, shape, self.seed)
        return out

    def unet(self, prefix, in_channels):
        return lambda: self.state(prefix, self.shapes["unet"], in_channels)

    def other(self, prefix, part):
        return lambda: self.state(prefix, self.shapes[part])

    def block(self):
        """The weights of one transformer block of the person U-Net, by their names within it."""
        names = {k: v for k, v in self.shapes["unet"].items() if k.startswith(BLOCK)}
        return lambda: {k[len(BLOCK) :]: weight(PERSON + k, v, self.seed) for k, v in names.items()}

    def _cases(self):
        c = self.config
        h, w, d = c["height"], c["width"], c["context_dim"]
        t = np.array([7, 601])

        def text(name):
            return self.array(name, (2, c["num_tokens"], d))

        context = text("context")
        width = 2 * c["unet"]["model_channels"]
        tokens = (h // 2) * (w // 2)
        heads = c["unet"]["num_heads"]
        heads = heads if heads != -1 else width // c["unet"]["num_head_channels"]

        def person(channels):
            return {"person": self.unet(PERSON, channels)}

        def both(channels):
            return person(channels) | {"garment": self.unet(GARMENT, 4)}

        x, extra = self.array("block.x", (2, tokens, width)), self.array("block.garment", (2, tokens, width))
        block = dict(weights={"block": self.block()}, settings=dict(num_heads=heads, latent=(h // 2, w // 2)))
        schedule = dict(ddim_steps=4, timesteps=[751, 501, 251, 1], eta=0.0)
        case = Case
        for n in (4, 8, 9):
            yield case(
                f"unet/plain{n}",
                ABOUT["unet"],
                "diffusers 0.24.0 and this project's U-Net, bit-equal",
                dict(x=self.array(f"plain.x{n}", (2, n, h, w)), t=t, context=context),
                person(n),
            )

        # ---- OOTDiffusion
        ran = "run: levihsu/OOTDiffusion 13ef0fa on diffusers 0.24.0"
        garment, agnostic, z = (self.latent(f"ootd.{n}") for n in ("garment", "agnostic", "z"))
        yield case(
            "ootd/block", ABOUT["ootd/block"], ran, dict(x=x, garment_tokens=extra, context=context), **block
        )
        yield case(
            "ootd/taps",
            ABOUT["ootd/taps"],
            ran,
            dict(garment=garment, t=np.array([0, 0]), context=context),
            {"garment": self.unet(GARMENT, 4)},
            dict(sites=SITES),
        )
        yield case(
            "ootd/taps_null",
            ABOUT["ootd/taps_null"],
            ran,
            dict(garment=np.zeros_like(garment), t=np.array([0, 0]), context=context),
            {"garment": self.unet(GARMENT, 4)},
            dict(sites=SITES),
        )
        yield case(
            "ootd/eps",
            ABOUT["ootd/eps"],
            ran,
            dict(z=z, agnostic=agnostic, garment=garment, t=t, context=context),
            both(8),
            dict(scales=[1.5, 2.0]),
        )
        yield case(
            "ootd/inflated",
            ABOUT["ootd/inflated"],
            "run: puduliu/OOTDiffusion-Training 408d8a1, run/train_ootd.py",
            dict(z=z, agnostic=agnostic, garment=garment, t=t, context=context),
            both(4),
            dict(in_channels=8),
        )
        yield case(
            "ootd/sample",
            ABOUT["ootd/sample"],
            ran,
            dict(
                garment=self.picture("ootd.pipe.garment"),
                agnostic=self.picture("ootd.pipe.agnostic"),
                person=self.picture("ootd.pipe.person"),
                mask=(self.cells("ootd.pipe.mask") * 255).astype(np.uint8),
                latents=self.latent("ootd.pipe.latents", 1),
                context=context[:1],
            ),
            both(8) | {"vae": self.other(VAE, "vae")},
            dict(schedule, scale=2.0, scale_factor=0.18215),
        )
        x_start, noise = self.latent("ootd.x_start"), self.latent("ootd.noise")
        moves = [dict(t=[(137 * 2 * s + 11) % 1000, (137 * (2 * s + 1) + 11) % 1000]) for s in range(4)]
        yield case(
            "ootd/train",
            ABOUT["ootd/train"],
            ran + "; loss and optimizer as in puduliu/OOTDiffusion-Training",
            dict(x_start=x_start, noise=noise, agnostic=agnostic, garment=garment, t=t, context=context)
            | {f"trajectory_noise_{s}": self.latent(f"ootd.traj.noise{s}") for s in range(4)},
            both(8),
            dict(trajectory=moves, learning_rate=1e-4, weight_decay=0.01),
        )
        words, image = self.array("ootd.prompt.text", (2, 5, d)), self.array("ootd.prompt.image", (2, d))
        repeated = np.repeat(image[:, None], 4, 1)
        yield case(
            "ootd/prompt",
            ABOUT["ootd/prompt"],
            "re-derived, not run",
            dict(text=words, image=image),
            expected=dict(
                hd=np.concatenate([words[:, :1], repeated], 1), dc=np.concatenate([words, image[:, None]], 1)
            ),
        )

        # ---- IDM-VTON
        ran = "run: yisol/IDM-VTON 0d5f3ec on diffusers 0.25.1"
        yield case(
            "idm/block", ABOUT["idm/block"], ran, dict(x=x, garment_tokens=extra, context=context), **block
        )
        garment, gtext = self.latent("idm.garment"), text("idm.garment_context")
        yield case(
            "idm/taps",
            ABOUT["idm/taps"],
            ran + IDM_NOTE,
            dict(garment=garment, t=t, context=gtext),
            {"garment": self.unet(GARMENT, 4)},
            dict(sites=SITES),
        )
        yield case(
            "idm/eps",
            ABOUT["idm/eps"],
            ran + IDM_NOTE,
            dict(
                z=self.latent("idm.z"),
                mask=self.mask("idm.mask", (2, 1, h, w)),
                masked_person=self.latent("idm.masked_person"),
                pose=self.latent("idm.pose"),
                garment=garment,
                garment_context=gtext,
                t=t,
                context=context,
            ),
            both(13),
            dict(scale=2.0),
        )

        # ---- Magic Clothing
        ran = "run: ShineChen1024/MagicClothing 5f88a2e on diffusers 0.25.1"
        negative, null = text("negative"), text("null")
        garment, z = self.latent("magic.garment"), self.latent("magic.z")
        yield case(
            "magic/block",
            ABOUT["magic/block"],
            ran,
            dict(x=x, garment_tokens=extra, context=context),
            **block,
        )
        yield case(
            "magic/taps",
            ABOUT["magic/taps"],
            ran,
            dict(garment=garment, t=np.array([0, 0]), context=null),
            {"garment": self.unet(GARMENT, 4)},
            dict(sites=SITES),
        )
        yield case(
            "magic/eps",
            ABOUT["magic/eps"],
            ran,
            dict(z=z, garment=garment, t=t, context=context, negative=negative, null=null),
            both(4),
            dict(scales=[(7.5, 2.5), (3.0, 1.5)]),
        )
        yield case(
            "magic/sample",
            ABOUT["magic/sample"],
            ran,
            dict(
                garment=garment[:1],
                latents=self.latent("magic.latents", 1),
                context=context[:1],
                negative=negative[:1],
                null=null[:1],
            ),
            both(4),
            dict(schedule, text_scale=7.5, garment_scale=2.5),
        )
        yield case(
            "magic/masked_garment",
            ABOUT["magic/masked_garment"],
            ran,
            dict(
                picture=(self.array("magic.picture", (16, 12, 3), "uniform") * 255).astype(np.uint8),
                mask=(self.array("magic.mask", (16, 12), "uniform") * 255).astype(np.uint8),
            ),
        )
        yield case(
            "magic/train",
            ABOUT["magic/train"],
            ran + " (no training code was published: the loss is the paper's)",
            dict(
                x_start=self.latent("magic.x_start"),
                noise=self.latent("magic.noise"),
                garment=garment,
                t=t,
                context=context,
                null=null,
            ),
            both(4),
        )

        # ---- CatVTON
        ran = "run: Zheng-Chong/CatVTON 3b79536 on diffusers 0.29.2"
        mask, masked, garment = (
            self.mask("cat.mask", (2, 1, h, w)),
            self.latent("cat.masked_person"),
            self.latent("cat.garment"),
        )
        yield case("catvton/block", ABOUT["catvton/block"], ran, dict(x=x), **block)
        yield case(
            "catvton/eps",
            ABOUT["catvton/eps"],
            ran,
            dict(z=self.latent("cat.z", rows=2), mask=mask, masked_person=masked, garment=garment, t=t),
            person(9),
            dict(scale=2.5),
        )
        yield case(
            "catvton/sample",
            ABOUT["catvton/sample"],
            ran + "; the posterior's mode in place of its random sample",
            dict(
                person=self.picture("cat.pipe.person") * 2 - 1,
                garment=self.picture("cat.pipe.garment") * 2 - 1,
                mask=self.cells("cat.pipe.mask")[None, None],
                noise=self.latent("cat.pipe.noise", 1, rows=2),
            ),
            person(9) | {"vae": self.other(VAE, "vae")},
            dict(schedule, scale=2.5, scale_factor=0.18215),
        )
        train = dict(
            x_start=self.latent("cat.x_start"),
            garment=garment,
            noise=self.latent("cat.noise", rows=2),
            mask=mask,
            masked_person=masked,
            t=t,
        )
        yield case(
            "catvton/train",
            ABOUT["catvton/train"],
            ran + " (no training code was published: the loss is the paper's)",
            train,
            person(9),
        )
        yield case("catvton/dream", ABOUT["catvton/dream"], ran, train, person(9), dict(powers=[1.0, 10.0]))

        # ---- IP-Adapter
        ran = "run: tencent-ailab/IP-Adapter 62e4af9 on diffusers 0.25.1"
        e = c["image_dim"]
        embeds = self.array("ip.image_embeds", (2, e))
        adapter = {
            "ip_adapter": lambda: self.state("", self.shapes["ip_adapter"]),
            "image_proj": self.other("image_proj.", "image_proj"),
        }
        yield case(
            "ip/proj",
            ABOUT["ip/proj"],
            ran,
            dict(image_embeds=embeds),
            {"image_proj": adapter["image_proj"]},
            dict(num_tokens=4),
        )
        yield case(
            "ip/resampler",
            ABOUT["ip/resampler"],
            ran,
            dict(hidden_states=self.array("ip.hidden_states", (2, 9, e))),
            {"resampler": self.other("resampler.", "resampler")},
            c["resampler"],
        )
        yield case(
            "ip/mlp",
            ABOUT["ip/mlp"],
            ran,
            dict(hidden_states=self.array("ip.hidden_states", (2, 9, e))),
            {"mlp": self.other("mlp.", "mlp")},
        )
        yield case(
            "ip/block",
            ABOUT["ip/block"],
            ran,
            dict(x=x, context=context, image_embeds=embeds),
            block["weights"] | adapter,
            block["settings"] | dict(index=5, num_tokens=4, scales=[1.0, 0.6, 0.0]),
        )
        yield case(
            "ip/eps",
            ABOUT["ip/eps"],
            ran,
            dict(z=self.latent("ip.z"), t=t, context=context, negative=negative, image_embeds=embeds),
            person(4) | adapter,
            dict(num_tokens=4, scales=[1.0, 0.6], index=self.config["ip_index"]),
        )
        yield case(
            "ip/train",
            ABOUT["ip/train"],
            ran,
            dict(
                x_start=self.latent("ip.x_start"),
                noise=self.latent("ip.noise"),
                t=t,
                context=context,
                image_embeds=embeds,
            ),
            person(4) | adapter,
            dict(num_tokens=4, index=self.config["ip_index"]),
        )

        # ---- AnyDoor
        ran = "run: ali-vilab/AnyDoor 44ca2b2"
        pictures = self.anydoor_pictures()
        yield case(
            "anydoor/sobel",
            ABOUT["anydoor/sobel"],
            ran,
            pictures,
            settings=dict(thresholds=dict(map=50, map_low_threshold=10)),
        )
        yield case(
            "anydoor/collage",
            ABOUT["anydoor/collage"],
            ran,
            pictures | {k: self.numbers[f"anydoor/collage/{k}"] for k in ("target_box", "crop_box")},
            settings=dict(garment_ratio=1.2),
        )
        dino = {"encoder": self.other("cond_stage_model.", "dino")}
        ref = self.array("anydoor.ref56", (2, 3, 56, 56), "uniform")
        yield case(
            "anydoor/dino",
            ABOUT["anydoor/dino"],
            ran,
            dict(image_56=ref, image_70=self.array("anydoor.ref70", (1, 3, 70, 70), "uniform")),
            dino,
            dict(num_heads=4, depth=2, patch=14, grid=5, width=e),
        )
        control = person(4) | {"control": self.other(CONTROL, "control")}
        hint = self.array("anydoor.hint", (2, 4, 8 * h, 8 * w), "uniform") * 2 - 1
        step = dict(z=self.latent("anydoor.z"), hint=hint, t=t, image_56=ref)
        yield case("anydoor/control", ABOUT["anydoor/control"], ran, step, control | dino)
        yield case("anydoor/eps", ABOUT["anydoor/eps"], ran, step, control | dino)
        yield case(
            "anydoor/train",
            ABOUT["anydoor/train"],
            ran,
            dict(
                x_start=self.latent("anydoor.x_start"),
                noise=self.latent("anydoor.noise"),
                hint=hint,
                t=t,
                image_56=ref,
            ),
            control | dino,
        )

    def anydoor_pictures(self):
        """A garment (200, 160, 3) and a scene (270, 360, 3), uint8 RGB, each with its mask of 0 and 1."""
        g, s = (
            self.array(f"anydoor.a.{n}_cells", shape, "uniform")
            for n, shape in (("garment", (10, 8, 3)), ("scene", (9, 12, 3)))
        )
        garment = np.kron((g * 255).astype(np.uint8), np.ones((20, 20, 1), np.uint8))
        garment[::7] = 255 - garment[::7]
        scene = np.kron((s * 255).astype(np.uint8), np.ones((30, 30, 1), np.uint8))
        garment_mask, scene_mask = np.zeros(garment.shape[:2], np.uint8), np.zeros(scene.shape[:2], np.uint8)
        garment_mask[30:170, 24:140] = 1
        garment_mask[30:60, 70:95] = 0
        scene_mask[80:200, 110:210] = 1
        return dict(garment=garment, garment_mask=garment_mask, scene=scene, scene_mask=scene_mask)


IDM_NOTE = (
    ", SD1.5's layout in place of SDXL's (its garment net got the missing branch for an up block "
    "without attention)"
)

ABOUT = {
    "unet": """x (b, c, h, w) -> eps, an ordinary forward pass: checks that weights, names
        and heads are understood.""",
    "ootd/block": """One transformer block of the denoising U-Net. Garment tokens (b, n, c) are
        appended BEHIND the person's along the token axis, both raw; norm1, self-
        attention and its residual run over the 2n; the FIRST n are kept. Then norm2
        + cross-attention, norm3 + feed-forward as ever. after_attn1 is what norm2
        takes. out_zero_tokens: the same with garment tokens of zeros (which is not
        the same as none: norm1 turns zeros into its bias).""",
    "ootd/taps": """Features that the garment U-Net records: the input of each of its 16
        transformer blocks BEFORE norm1, (b, n, c), in the order of SITES, from one
        pass at t = 0 with the person's own context. 00 ... 15.""",
    "ootd/taps_null": """The same for a garment latent of zeros: what OOTDiffusion means by no
        garment. A part of the 16.""",
    "ootd/eps": """eps of the denoising U-Net on concat(z, agnostic) (8 channels, in this
        order) with the features of ootd/taps. null: with those of the zero LATENT,
        context and agnostic latent unchanged. guided_s = null + s (cond - null).
        zero_features: features themselves zero (not what OOTDiffusion does; IDM-
        VTON and Magic Clothing do).""",
    "ootd/inflated": """conv_in widened from 4 to 8 input channels: the old weight, then zeros; the
        bias is kept. The given person weights are those of 4 channels. eps with the
        features of ootd/taps; whatever `agnostic` is, eps does not change.""",
    "ootd/sample": """The whole inference from pictures. Pictures here are in [0, 1] and become 2
        x - 1. garment_latents = [mode(garment), zeros] and agnostic_latents =
        [mode(agnostic)] * 2 are NOT multiplied by 0.18215; the latent of `person`
        for repainting IS. Batch order is [with garment, without]. Garment pass
        once, t = 0. 4 DDIM steps (eta 0), guidance 2.0 = null + s (cond - null).
        After each step: latents = (1 - m) known + m latents, with known = the
        person's latent noised to the NEXT step's t with the starting latents as
        noise, and clean after the last step; m = mask, 0 where < 127 and 1 where >=
        127, then nearest to (h, w). latents_after_step_i are after that.
        unipc_final: by diffusers' UniPC (PNDM's config), the original's sampler:
        optional.""",
    "ootd/train": """Joint training: noisy = sqrt(a_t) x_start + sqrt(1 - a_t) noise; features
        from the garment net at t = 0 (latent as it is); eps on concat(noisy,
        agnostic); loss = mean (eps - noise)^2 over all numbers. Gradients reach
        BOTH nets: grad_keys has 1346 tensors, no_grad_keys the 26 of the garment
        net behind its last tap (they have no gradient at all, not zeros).
        trajectory: loss of 4 AdamW steps (betas .9 .999, eps 1e-8) on both nets, t
        and noise of settings and inputs. The original's own gradient checkpointing
        changes no bit of this; nor does locking either net change the other's
        gradients.""",
    "ootd/prompt": """hd: token 0 of the text (BOS), then the image vector in every other place.
        dc: text, then one image token. Inference makes the text with 2 (hd) or 3
        (dc) tokens, training with 77.""",
    "idm/block": """As ootd/block, but what is appended are garment tokens that the garment net
        has already normed (its own norm1): they do not pass this block's norm1. The
        first n of the output are added to x. Their number may differ from n:
        out_third_of_tokens is with the first n // 3 of them.""",
    "idm/taps": """Features of the garment net BEHIND norm1, run at the SAME t as the person's
        net (every step anew), on the clean garment latent with the garment's own
        caption. projections[i] = projection(f"tap{i}", feature i).""",
    "idm/eps": """eps on concat(z, mask, masked_person, pose) (4 + 1 + 4 + 4 channels) with
        those features. zero_features: features of zeros (not those of a zero
        latent). guided_2.0 = zero + 2 (cond - zero); the original's batch order is
        [zero, garment].""",
    "magic/block": """As idm/block with as many garment tokens as x has: numerically the same as
        IDM-VTON's. after_attn1 is what norm2 takes.""",
    "magic/taps": """Features behind norm1 of one pass at t = 0 with the null prompt's context.
        The original calls the garment net's processors `read` and the person net's
        `write`. projections and rms are in the order of SITES.""",
    "magic/eps": """text_garment: prompt and features; negative_garment: negative prompt and
        features; negative_zero: negative prompt and features of zeros. joint_T_G =
        negative_zero + T (text_garment - negative_garment) + G (negative_garment -
        negative_zero). The original's batch order is [negative_zero,
        negative_garment, text_garment]. two_pass_7.5: without garment guidance, its
        halves are [negative prompt with features of zeros, prompt with features].""",
    "magic/sample": """4 DDIM steps (eta 0) with the joint guidance 7.5, 2.5; latents_after_step_i.
        The garment latent is given (scaled by 0.18215 in the original).""",
    "magic/masked_garment": """The garment picture before the autoencoder: (picture / 127.5 - 1) * mask,
        mask = 1 where mask / 255 > 0.5, else 0. So what is masked out becomes 0,
        mid-gray, not black or white. (1, 3, H, W).""",
    "magic/train": """Loss and gradients of the garment net, the person's net locked; the person's
        context is `context`, the garment's `null`. 24 tensors get none: those
        behind norm1 of the last block.""",
    "catvton/block": """Cross-attention skipped as the original does it: the attention is the
        identity, but its norm and its residual stay, so that x <- x + norm2(x). No
        context.""",
    "catvton/eps": """Person above garment: everything is joined along the HEIGHT (2 h rows, the
        first h are the person's). Channels: z (4), mask (1: person's mask, then
        zeros), masked latent (4: masked_person, then garment). Cross-attention as
        in catvton/block. null: the garment half of the masked latent is zeros; z
        and mask are the same. guided_2.5 = null + 2.5 (cond - null); batch order
        [null, cond].""",
    "catvton/sample": """From pictures in [-1, 1]; mask >= 0.5 is to be painted; masked person =
        person * (mask < 0.5) (so gray inside). Latents are multiplied by 0.18215,
        the mask goes by nearest to (h, w). 4 DDIM steps, eta 0 (the original's
        default is eta 1). unet_input_step_0: channels 4...8 of the U-Net's first
        input, [null, cond]. decoded_latents: what is decoded, the first h rows
        divided by 0.18215. No repainting.""",
    "catvton/train": """x0 = x_start above garment; loss = mean (eps - noise)^2 over both halves.
        Only attn1 is trained: q, k, v, out (weight, bias) of 16 blocks; n_trainable
        numbers.""",
    "catvton/dream": """DREAM at power p: lambda = sqrt(1 - a_t)^p; delta = lambda (noise -
        eps(noisy)); noisy_p = noisy + sqrt(1 - a_t) delta; target_p = noise +
        delta.""",
    "ip/proj": """image_embeds (b, e) -> Linear -> (b, 4, d) -> LayerNorm over d. null_tokens:
        of image_embeds of zeros, which are not zeros.""",
    "ip/resampler": """IP-Adapter Plus: patch tokens (b, n, e) -> queries (b, num_queries, d). Keys
        and values come from [patch tokens, queries].""",
    "ip/mlp": """IP-Adapter Full: Linear, GELU, Linear, LayerNorm on every token.""",
    "ip/block": """Decoupled cross-attention. out = to_out(Attn(q, K text, V text) + scale
        Attn(q, K image, V image)): the same q, one to_out (its bias once), own K
        and V for the image tokens (of ip/proj). attn2_s is the layer alone on x
        (not normed); out the whole block at scale 1.""",
    "ip/eps": """All 16 layers. The file's keys are ip_adapter.N.to_k_ip.weight, N = 1, 3,
        ... 31 (diffusers counts self-attentions too); settings' index has N -> LDM
        layer. Note the order: encoder, DECODER, then middle block (31). null_image:
        negative context and null tokens.""",
    "ip/train": """Loss and gradients of projector and 32 key and value matrices, all else
        locked.""",
    "anydoor/sobel": """High-frequency map of the garment, uint8: picture and mask to 256 x 256
        (cv2's bilinear), mask > 0.5, eroded twice by 5 x 5; |Sobel| in x and y (3 x
        3, absolute, clipped to 255, rounded), their mean by addWeighted, maximum
        over colours, times mask; below the threshold 0; / 255 * picture, cut to
        uint8; back to the picture's size. boundary: extract_target_boundary of the
        scene, every 6th pixel: map / 255 * mask, not resized.""",
    "anydoor/collage": """What goes into encoder and control branch, from pictures. Boxes are (y1, y2,
        x1, x2); both are given (the original draws the crop's size at random).
        Garment: outside the mask white; cut to the mask's bounding box; padded by
        1.2 with white; to a square; to 224 (ref in [0, 1]). Its high-frequency map
        is laid over the whole target box of the cropped scene; 4th channel: 1 in
        that box. Padded to a square with black, to 512. hint = map / 127.5 - 1,
        mask as it is. ref, hint and target are stored at every 8th pixel.""",
    "anydoor/dino": """Pictures in [0, 1], ImageNet mean and deviation, DINOv2, its final norm,
        [class token, patch tokens], Linear to the context's width. Position table
        of grid 5 x 5, interpolated for 56 pixels (4 x 4) bicubically with scale
        factor (4 + 0.1) / 5, as the original does it: not the same as by size.
        pos_embed_56, features_56 (before the projector), context_56, context_70;
        null_context_56: of a black picture (not of zeros behind the norm).""",
    "anydoor/control": """Control branch whose first layer's output is REPLACED by the hint block's:
        the latent never enters, input_blocks.0 is never run; its first residual is
        zero_convs.0 of the hint features. Context: anydoor/dino's context_56. A
        part of the 13, and projections of all: projection(f"control{i}", residual
        i).""",
    "anydoor/eps": """eps with these residuals added to skips and middle as in ControlNet, and
        without.""",
    "anydoor/train": """sd_locked = False: gradients of control branch, the U-Net's decoder and
        `out`, and the projector; encoder, middle and DINOv2 are locked.
        no_grad_keys: the rest of the U-Net, and the control branch's
        input_blocks.0.""",
}
