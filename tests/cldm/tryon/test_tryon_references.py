"""What published try-on projects compute, on the same weights: see helpers/goldens_tryon/README.md."""

import numpy as np
import pytest
import torch
from einops import rearrange

from cldm.guidance import guide_by, guide_jointly
from cldm.tryon.anydoor import CollageNet
from cldm.tryon.attention import Tokens, build_transformer
from cldm.tryon.collage import (
    cut_garment,
    find_box,
    find_edges,
    grow_box,
    lay_edges,
    to_hint,
    to_square,
    trace_edges,
)
from cldm.tryon.conditions import encode_pictures, grey_outside, shrink_mask
from cldm.tryon.dinov2 import DinoV2
from cldm.tryon.image_tokens import (
    LinearContext,
    LinearTokens,
    MlpTokens,
    Resampler,
    VectorToken,
    join_prompt,
)
from cldm.tryon.model import tryon_denoiser
from cldm.tryon.unet import GarmentUNet, PersonUNet, widen_first_convolution
from generation.fitting import put_back
from ldm.models.diffusion.samplers import ddim, unipc
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from tryon_goldens import projection
from tryon_reference import (
    build,
    case,
    entry,
    expect_equal,
    fill,
    garment,
    goldens,
    gradients,
    load,
    nobody,
    predict,
    tensor,
    unet_options,
)

pytestmark = pytest.mark.reference
TEXT = dict(text=entry("TextCondition"))
OOTD = TEXT | dict(
    agnostic=entry("LatentChannels", key="agnostic", scaled=False), garment=garment(scaled=False)
)
MAGIC = TEXT | dict(garment=garment(norm="post", drop_to="zero_features", context="A cloth"))
CATVTON = dict(
    mask=entry("MaskChannel"),
    agnostic=entry("LatentChannels", key="agnostic"),
    garment=entry("StackedGarment", draw="mode"),
)


def text_of(context, null=None):
    return dict(context=context, null=context if null is None else null)


def pixels(pictures):
    """Pictures (b, 3, H, W) in [0, 1] as a batch has them."""
    return rearrange(2 * pictures - 1, "b c h w -> b h w c")


@pytest.mark.parametrize("channels", [4, 8, 9])
@torch.no_grad()
def test_a_plain_pass_needs_no_condition(channels):
    found, given = case(f"unet/plain{channels}")
    unet = load(PersonUNet(**unet_options(in_channels=channels)), found.weights["person"])
    expect_equal(found, dict(eps=unet(given["x"], given["t"], Tokens(given["context"]))))


class Catcher:
    """Keeps what a module is given."""

    def __init__(self, module):
        self.handle = module.register_forward_pre_hook(lambda _, inputs: setattr(self, "caught", inputs[0]))


@pytest.mark.parametrize("model", ["ootd", "idm", "magic"])
@torch.no_grad()
def test_garment_tokens_enter_a_block_as_published(model):
    found, given = case(f"{model}/block")
    norm, width = "pre" if model == "ootd" else "post", given["x"].shape[-1]
    heads = found.settings["num_heads"]
    transformer = build_transformer(norm=norm)
    block = transformer.block(width, heads, width // heads, context_dim=given["context"].shape[-1])
    block = load(block, found.weights["block"])
    block.site, catcher = "here", Catcher(block.norm2)

    def run(tokens):
        return block(given["x"], Tokens(given["context"], references=dict(here=tokens)))

    got = dict(out=run(given["garment_tokens"]), after_attn1=catcher.caught)
    if model == "ootd":
        got["out_zero_tokens"] = run(torch.zeros_like(given["garment_tokens"]))
    if model == "idm":
        tokens = given["garment_tokens"]
        got["out_third_of_tokens"] = run(tokens[:, : tokens.shape[1] // 3])
    expect_equal(found, got)


@pytest.mark.parametrize(
    ("name", "norm"),
    [("ootd/taps", "pre"), ("ootd/taps_null", "pre"), ("idm/taps", "post"), ("magic/taps", "post")],
)
@torch.no_grad()
def test_the_garments_network_records_what_is_published(name, norm):
    found, given = case(name)
    network = load(GarmentUNet(**unet_options(norm=norm)), found.weights["garment"])
    tokens = network(given["garment"], network.embed_time(given["t"]), given["context"])
    assert tuple(tokens) == tuple(found.settings["sites"])
    got = {f"{i:02d}": recorded for i, recorded in enumerate(tokens.values())}
    got = {key: value for key, value in got.items() if key in found.expected}
    if "projections" in found.expected:
        got["projections"] = np.array(
            [projection(f"tap{i}", x.numpy()) for i, x in enumerate(tokens.values())]
        )
    if "rms" in found.expected:
        got["rms"] = np.array([float(x.double().square().mean().sqrt()) for x in tokens.values()])
    expect_equal(found, got)


def test_ootdiffusion_predicts_as_published():
    found, given = case("ootd/eps")
    model = fill(build(OOTD, 8), found)
    encoded = dict(
        text=text_of(given["context"]),
        agnostic=dict(latents=given["agnostic"]),
        garment=dict(latents=given["garment"]),
    )
    cond = predict(model, given["z"], given["t"], encoded)
    null = predict(model, given["z"], given["t"], encoded, "garment")
    got = dict(cond=cond, null=null)
    for scale in found.settings["scales"]:
        got[f"guided_{scale}"] = guide_by("garment", scale).combine(torch.cat([null, cond]))
    model.conditions["garment"].drop_to = "zero_features"
    got["zero_features"] = predict(model, given["z"], given["t"], encoded, "garment")
    expect_equal(found, got)


def test_ootdiffusions_prompts_are_the_published_ones():
    found, given = case("ootd/prompt")
    image = VectorToken()(given["image"])
    got = {kind: join_prompt(given["text"], image, site) for kind, site in (("hd", "fill"), ("dc", "append"))}
    expect_equal(found, got)


@torch.no_grad()
def test_a_widened_first_convolution_changes_nothing():
    found, given = case("ootd/inflated")
    weights = {key: tensor(value) for key, value in found.weights["person"]().items()}
    key = "input_blocks.0.0.weight"
    weights[key] = widen_first_convolution(weights[key], found.settings["in_channels"])
    model = build(OOTD, found.settings["in_channels"])
    model.model.diffusion_model.load_state_dict(weights)
    load(model.garment_model, found.weights["garment"])
    for agnostic in (given["agnostic"], 5 * given["agnostic"]):
        encoded = dict(
            text=text_of(given["context"]),
            agnostic=dict(latents=agnostic),
            garment=dict(latents=given["garment"]),
        )
        expect_equal(found, dict(eps=predict(model, given["z"], given["t"], encoded)))


@torch.no_grad()
def test_ootdiffusion_draws_as_published():
    found, given = case("ootd/sample")
    settings = found.settings
    model = fill(build(OOTD, 8), found)
    encoded = dict(text=text_of(given["context"]))
    for name in ("agnostic", "garment"):
        encoded[name] = model.conditions[name].encode(model, {name: pixels(given[name])})
    known = encode_pictures(model, pixels(given["person"]))
    mask = shrink_mask(given["mask"][None].float() / 255, threshold=127 / 255)
    latents = encoded["garment"]["latents"]
    got = dict(
        garment_latents=torch.cat([latents, torch.zeros_like(latents)]),
        agnostic_latents=encoded["agnostic"]["latents"].repeat(2, 1, 1, 1),
        mask_latent=mask.reshape(found.expected["mask_latent"].shape),
    )
    denoise = tryon_denoiser(model, encoded, guide_by("garment", settings["scale"]))

    def draw(sampler, timesteps):
        """The latents after each step, repainted."""
        timesteps, states = sorted(map(int, timesteps)), []

        def watch(x, t):
            states.append(x)
            return denoise(x, t)

        kept = put_back(watch, model, known, mask, given["latents"], timesteps[-1])
        x = sampler(kept, given["latents"], model.alphas_cumprod, timesteps)
        return [*states[1:], (1 - mask) * known + mask * x]

    got |= {f"latents_after_step_{i}": x for i, x in enumerate(draw(ddim, settings["timesteps"]))}
    got["unipc_final"] = draw(unipc, found.expected["unipc_timesteps"])[-1]
    expect_equal(found, got)


def test_ootdiffusion_trains_as_published():
    found, given = case("ootd/train")
    model = fill(build(OOTD, 8, train_unet="all"), found).train()
    encoded = dict(
        text=text_of(given["context"]),
        agnostic=dict(latents=given["agnostic"]),
        garment=dict(latents=given["garment"]),
    )

    def loss_of(t, noise):
        cond = model.prepare(encoded, nobody(model, encoded))
        return model.p_losses(given["x_start"], cond, torch.as_tensor(t), noise)[0]

    loss = loss_of(given["t"], given["noise"])
    loss.backward()
    found_gradients = gradients(model)
    assert {k for k, g in found_gradients.items() if g is None} == set(
        map(str, found.expected["no_grad_keys"])
    )
    whole = {name: found_gradients[name.removeprefix("grad/")] for name in found.expected if "grad/" in name}
    expect_equal(found, dict(loss=loss, gradients=found_gradients) | whole)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=found.settings["learning_rate"],
        weight_decay=found.settings["weight_decay"],
    )
    losses = []
    for step, move in enumerate(found.settings["trajectory"]):
        optimizer.zero_grad()
        loss = loss_of(move["t"], given[f"trajectory_noise_{step}"])
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    expect_equal(
        found, dict(trajectory=np.array(losses, np.float32).reshape(found.expected["trajectory"].shape))
    )


def test_idm_vton_predicts_as_published():
    found, given = case("idm/eps")
    conditions = TEXT | dict(
        mask=entry("MaskChannel"),
        agnostic=entry("LatentChannels", key="agnostic"),
        pose=entry("LatentChannels", key="pose"),
        garment=garment(norm="post", time="sync", drop_to="zero_features", context="a photo of a garment"),
    )
    model = fill(build(conditions, 13, unet=dict(norm="post")), found)
    encoded = dict(
        text=text_of(given["context"]),
        mask=dict(mask=given["mask"]),
        agnostic=dict(latents=given["masked_person"]),
        pose=dict(latents=given["pose"]),
        garment=dict(latents=given["garment"], text=given["garment_context"]),
    )
    cond = predict(model, given["z"], given["t"], encoded)
    zero = predict(model, given["z"], given["t"], encoded, "garment")
    scale = found.settings["scale"]
    guided = guide_by("garment", scale).combine(torch.cat([zero, cond]))
    expect_equal(found, {"cond": cond, "zero_features": zero, f"guided_{scale}": guided})


def test_magic_clothings_garments_stand_on_grey():
    found, given = case("magic/masked_garment")
    masked = grey_outside(given["picture"] / 127.5 - 1, given["mask"][..., None] / 255)
    expect_equal(found, dict(out=rearrange(masked, "h w c -> 1 c h w")))


@pytest.mark.parametrize("project", ["ootd", "magic", "catvton"])
def test_published_samplings_take_our_timesteps(project):
    found, _ = case(f"{project}/sample")
    steps = make_ddim_timesteps("uniform", found.settings["ddim_steps"], 1000)
    expect_equal(found, dict(timesteps=steps[::-1]))


@pytest.mark.parametrize("project", ["ootd", "magic", "catvton", "ip", "anydoor"])
def test_noise_is_added_as_published(project):
    found, given = case(f"{project}/train")
    rows = ["x_start", "garment"] if project == "catvton" else ["x_start"]
    x_start = torch.cat([given[row] for row in rows], dim=2)
    noisy = build(TEXT).q_sample(x_start, given["t"], given["noise"])
    expect_equal(found, dict(noisy=noisy))


def magic(found, train="none"):
    return fill(build(MAGIC, unet=dict(norm="post"), train_unet=train), found)


def magic_conditions(given):
    return dict(
        text=text_of(given["context"], given.get("negative")),
        garment=dict(latents=given["garment"], text=given["null"]),
    )


def test_magic_clothing_predicts_as_published():
    found, given = case("magic/eps")
    model, encoded = magic(found), magic_conditions(given)
    both = predict(model, given["z"], given["t"], encoded)
    garment_alone = predict(model, given["z"], given["t"], encoded, "text")
    neither = predict(model, given["z"], given["t"], encoded, "text", "garment")
    got = dict(text_garment=both, negative_garment=garment_alone, negative_zero=neither)
    for text_scale, garment_scale in found.settings["scales"]:
        guidance = guide_jointly("text", "garment", text_scale, garment_scale)
        got[f"joint_{text_scale}_{garment_scale}"] = guidance.combine(
            torch.cat([neither, garment_alone, both])
        )
    got["two_pass_7.5"] = guide_by(("text", "garment"), 7.5).combine(torch.cat([neither, both]))
    expect_equal(found, got)


def test_magic_clothing_draws_as_published():
    found, given = case("magic/sample")
    model, settings, states = magic(found), found.settings, []
    guidance = guide_jointly("text", "garment", settings["text_scale"], settings["garment_scale"])
    denoise = tryon_denoiser(model, magic_conditions(given), guidance)
    steps = sorted(settings["timesteps"])
    ddim(denoise, given["latents"], model.alphas_cumprod, steps, callback=lambda s: states.append(s["x"]))
    expect_equal(found, {f"latents_after_step_{i}": x for i, x in enumerate(states)})


def test_magic_clothing_trains_the_garments_network_alone():
    found, given = case("magic/train")
    model = magic(found).train()
    encoded = magic_conditions(given)
    cond = model.prepare(encoded, nobody(model, encoded))
    loss, _ = model.p_losses(given["x_start"], cond, given["t"], given["noise"])
    loss.backward()
    expect_equal(found, dict(loss=loss, gradients=gradients(model)))
    without = {f"garment_model.{n}" for n, p in model.garment_model.named_parameters() if p.grad is None}
    assert without == set(map(str, found.expected["no_grad_keys"])) and len(without) == 24
    assert all(p.grad is None for p in model.model.parameters())


@torch.no_grad()
def test_a_skipped_cross_attention_adds_its_normed_input():
    found, given = case("catvton/block")
    heads, width = found.settings["num_heads"], given["x"].shape[-1]
    block = build_transformer(context="skip").block(width, heads, width // heads)
    expect_equal(found, dict(out=load(block, found.weights["block"])(given["x"], Tokens(None))))


def catvton(found, **options):
    return fill(build(CATVTON, 9, unet=dict(context="skip"), **options), found)


def catvton_conditions(given):
    return dict(
        mask=dict(mask=given["mask"]),
        agnostic=dict(latents=given["masked_person"]),
        garment=dict(latents=given["garment"]),
    )


def test_catvton_predicts_as_published():
    found, given = case("catvton/eps")
    model, encoded = catvton(found), catvton_conditions(given)
    cond = predict(model, given["z"], given["t"], encoded)
    null = predict(model, given["z"], given["t"], encoded, "garment")
    scale = found.settings["scale"]
    guided = guide_by("garment", scale).combine(torch.cat([null, cond]))
    expect_equal(found, {"cond": cond, "null": null, f"guided_{scale}": guided})


@torch.no_grad()
def test_catvton_draws_as_published():
    found, given = case("catvton/sample")
    model, settings, states, inputs = catvton(found), found.settings, [], []
    mask = rearrange(given["mask"], "b 1 h w -> b h w")
    person, cloth = (rearrange(given[name], "b c h w -> b h w c") for name in ("person", "garment"))
    batch = dict(mask=mask, agnostic=person * (mask < 0.5)[..., None], garment=cloth)
    encoded = {name: condition.encode(model, batch) for name, condition in model.conditions.items()}
    unet = model.model.diffusion_model
    unet.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    denoise = tryon_denoiser(model, encoded, guide_by("garment", settings["scale"]))
    x0 = ddim(
        denoise,
        given["noise"],
        model.alphas_cumprod,
        sorted(settings["timesteps"]),
        callback=lambda s: states.append(s["x"]),
    )
    got = {f"latents_before_step_{i + 1}": x for i, x in enumerate(states[:-1])}
    got["unet_input_step_0"] = inputs[0][:, 4:]
    got["decoded_latents"] = x0.chunk(2, dim=2)[0] / settings["scale_factor"]
    expect_equal(found, got)


def test_catvton_trains_self_attention_alone():
    found, given = case("catvton/train")
    model, encoded = catvton(found, train_unet="attn1").train(), catvton_conditions(given)
    x_start = torch.cat([given["x_start"], given["garment"]], dim=2)
    loss, _ = model.p_losses(
        x_start, model.prepare(encoded, nobody(model, encoded)), given["t"], given["noise"]
    )
    loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == int(found.expected["n_trainable"])
    expect_equal(found, dict(loss=loss, gradients=gradients(model)))


def test_dream_moves_latents_and_target_as_published():
    found, given = case("catvton/dream")
    model, encoded = catvton(found), catvton_conditions(given)
    x_start = torch.cat([given["x_start"], given["garment"]], dim=2)
    cond = model.prepare(encoded, nobody(model, encoded))
    noisy, got = model.q_sample(x_start, given["t"], given["noise"]), {}
    for power in found.settings["powers"]:
        model.dream = power
        got[f"noisy_{power}"], got[f"target_{power}"] = model.rectify(noisy, cond, given["t"], given["noise"])
        assert torch.allclose(
            got[f"noisy_{power}"], model.q_sample(x_start, given["t"], got[f"target_{power}"]), atol=1e-5
        )
    expect_equal(found, got)


@torch.no_grad()
def test_image_projectors_are_the_published_ones():
    width, context = goldens().config["image_dim"], goldens().config["context_dim"]
    found, given = case("ip/proj")
    projector = load(LinearTokens(width, context, found.settings["num_tokens"]), found.weights["image_proj"])
    embeds = given["image_embeds"]
    expect_equal(found, dict(tokens=projector(embeds), null_tokens=projector(torch.zeros_like(embeds))))
    found, given = case("ip/resampler")
    options = {key: found.settings[key] for key in ("dim", "depth", "heads", "dim_head", "num_queries")}
    resampler = Resampler(width, found.settings["output_dim"], mult=found.settings["ff_mult"], **options)
    expect_equal(found, dict(tokens=load(resampler, found.weights["resampler"])(given["hidden_states"])))
    found, given = case("ip/mlp")
    expect_equal(
        found, dict(tokens=load(MlpTokens(width, context), found.weights["mlp"])(given["hidden_states"]))
    )


def load_adapter(unet, found):
    """IP-Adapter's keys and values, whose file counts self-attentions, too."""
    file, index = found.weights["ip_adapter"](), found.settings["index"]
    state = {
        f"{layer}.to_{kind}_ip.weight": tensor(file[f"ip_adapter.{number}.to_{kind}_ip.weight"])
        for number, layer in index.items()
        for kind in "kv"
    }
    assert not unet.load_state_dict(state, strict=False).unexpected_keys
    return {
        f"{layer}.to_{kind}_ip.weight": f"ip_adapter.{number}.to_{kind}_ip.weight"
        for number, layer in index.items()
        for kind in "kv"
    }


@torch.no_grad()
def test_decoupled_attention_is_the_published_one():
    found, given = case("ip/block")
    heads, width = found.settings["num_heads"], given["x"].shape[-1]
    context = given["context"]
    block = build_transformer(context="text+image").block(
        width, heads, width // heads, context_dim=context.shape[-1]
    )
    file, number = found.weights["ip_adapter"](), found.settings["index"]
    state = {key: tensor(value) for key, value in found.weights["block"]().items()}
    state |= {f"attn2.to_{k}_ip.weight": tensor(file[f"ip_adapter.{number}.to_{k}_ip.weight"]) for k in "kv"}
    block.load_state_dict(state)
    projector = LinearTokens(goldens().config["image_dim"], context.shape[-1], found.settings["num_tokens"])
    image = load(projector, found.weights["image_proj"])(given["image_embeds"])
    got = {
        f"attn2_{scale}": block.attn2(given["x"], context, image, scale) for scale in found.settings["scales"]
    }
    expect_equal(found, got | dict(out=block.eval()(given["x"], Tokens(context, image))))


@torch.no_grad()
def test_ip_adapter_predicts_as_published():
    found, given = case("ip/eps")
    unet = PersonUNet(**unet_options(context="text+image")).eval()
    unet.load_state_dict(
        {key: tensor(value) for key, value in found.weights["person"]().items()}, strict=False
    )
    load_adapter(unet, found)
    projector = LinearTokens(
        goldens().config["image_dim"], goldens().config["context_dim"], found.settings["num_tokens"]
    )
    load(projector, found.weights["image_proj"])
    image, null = projector(given["image_embeds"]), projector(torch.zeros_like(given["image_embeds"]))
    got = {
        f"scale_{scale}": unet(given["z"], given["t"], Tokens(given["context"], image, scale))
        for scale in found.settings["scales"]
    }
    expect_equal(found, got | dict(null_image=unet(given["z"], given["t"], Tokens(given["negative"], null))))


def test_ip_adapter_trains_projector_and_keys_alone():
    found, given = case("ip/train")
    width, context = goldens().config["image_dim"], goldens().config["context_dim"]
    projector = dict(
        target="cldm.tryon.image_tokens.LinearTokens",
        params=dict(width=width, context_dim=context, num_tokens=found.settings["num_tokens"]),
    )
    conditions = TEXT | dict(
        image=entry(
            "ImageTokens", encoder=dict(target="torch.nn.Identity"), projector=projector, site="decoupled"
        )
    )
    model = fill(build(conditions, unet=dict(context="text+image"), train_unet="image"), found).train()
    names = load_adapter(model.model.diffusion_model, found)
    load(model.image_proj, found.weights["image_proj"]).train()
    encoded = dict(text=text_of(given["context"]), image=dict(features=given["image_embeds"]))
    loss, _ = model.p_losses(
        given["x_start"], model.prepare(encoded, nobody(model, encoded)), given["t"], given["noise"]
    )
    loss.backward()
    got = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    renamed = {}
    for name, gradient in got.items():
        key = name.removeprefix("model.diffusion_model.")
        renamed[names.get(key, name.replace("image_proj.", "image_proj."))] = gradient.numpy()
    expect_equal(found, dict(loss=loss, gradients=renamed))


def test_anydoors_edges_are_the_published_ones():
    found, _ = case("anydoor/sobel")
    given, thresholds = found.inputs, found.settings["thresholds"]
    got = {
        key: find_edges(given["garment"], given["garment_mask"], limit) for key, limit in thresholds.items()
    }
    boundary = trace_edges(given["scene"]) / np.float32(255) * given["scene_mask"]
    expect_equal(found, got | dict(boundary=boundary[::6, ::6]))


def test_anydoors_collage_is_the_published_one():
    found, _ = case("anydoor/collage")
    given, (top, bottom, left, right) = found.inputs, found.inputs["crop_box"]
    ratio = found.settings["garment_ratio"]
    garment, mask = cut_garment(given["garment"], given["garment_mask"], ratio=ratio)
    scene = given["scene"][top:bottom, left:right]
    box = grow_box(find_box(given["scene_mask"]), given["scene"].shape[:2], 1.1)
    inner = np.array(box) - [top, top, left, left]
    collage, covered = lay_edges(scene, find_edges(garment, mask), inner)
    hint = to_hint(*to_square(collage, covered))
    target = to_hint(*to_square(scene, covered))[..., :3]
    longer = max(covered.shape)
    expect_equal(
        found,
        dict(
            target_box=box,
            extra_sizes=[*covered.shape, longer, longer],
            ref_every_8th=garment[::8, ::8] / 255,
            ref_channel_means=(garment / 255).mean((0, 1)),
            hint_every_8th=hint[::8, ::8],
            hint_channel_means=hint.mean((0, 1)),
            mask_values=np.unique(hint[..., 3]),
            target_every_8th=target[::8, ::8],
        ),
    )


def anydoor(found):
    """(encoder, projector) of the identity tokens."""
    settings = goldens()["anydoor/dino"].settings
    encoder = DinoV2(
        settings["width"], settings["depth"], settings["num_heads"], settings["patch"], settings["grid"]
    )
    load(encoder, found.weights["encoder"], "model.")
    projector = LinearContext(settings["width"], goldens().config["context_dim"])
    return encoder, load(projector, found.weights["encoder"], "projector.")


@torch.no_grad()
def test_dinov2_is_the_published_one():
    found, given = case("anydoor/dino")
    encoder, projector = anydoor(found)
    small, large = given["image_56"], given["image_70"]
    expect_equal(
        found,
        dict(
            features_56=encoder(small),
            context_56=projector(encoder(small)),
            context_70=projector(encoder(large)),
            null_context_56=projector(encoder(torch.zeros_like(small[:1]))),
            pos_embed_56=encoder.positions(4, 4),
        ),
    )


@torch.no_grad()
def test_anydoor_predicts_as_published():
    """In float64: a CPU's own order of additions in float32 can be further off than is tolerated."""
    found, given = case("anydoor/control")
    given = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    encoder, projector = (part.double() for part in anydoor(found))
    context = projector(encoder(given["image_56"]))
    branch = load(CollageNet(**goldens().config["control"]), found.weights["control"]).double()
    residuals = branch(given["z"], given["hint"], given["t"], context)
    got = {f"{i:02d}": r for i, r in enumerate(residuals) if f"{i:02d}" in found.expected}
    got["projections"] = np.array([projection(f"control{i}", r.numpy()) for i, r in enumerate(residuals)])
    expect_equal(found, got)
    found, given = case("anydoor/eps")
    unet = load(PersonUNet(**unet_options()), found.weights["person"]).double()
    tokens = Tokens(context)
    expect_equal(
        found,
        dict(
            control=unet(given["z"].double(), given["t"], tokens, control=residuals),
            no_control=unet(given["z"].double(), given["t"], tokens),
        ),
    )


def test_anydoor_trains_what_is_published():
    found, given = case("anydoor/train")
    encoder, projector = anydoor(found)
    conditions = dict(
        garment=entry(
            "ImageTokens",
            encoder=dict(target="torch.nn.Identity"),
            projector=dict(
                target="cldm.tryon.image_tokens.LinearContext",
                params=dict(width=projector.in_features, context_dim=projector.out_features),
            ),
            site="replace",
            drop_to="black",
        ),
        control=entry(
            "ControlHint",
            branch=dict(target="cldm.tryon.anydoor.CollageNet", params=goldens().config["control"]),
        ),
    )
    model = build(conditions, person="HalfLockedUNet", train_unet="decoder")
    fill(model, found)
    model.garment_proj.load_state_dict(projector.state_dict())
    model.train()
    with torch.no_grad():
        features = encoder(given["image_56"])
    encoded = dict(garment=dict(features=features, null=features[:1]), control=dict(hint=given["hint"]))
    cond = model.prepare(encoded, nobody(model, encoded))
    loss, _ = model.p_losses(given["x_start"], cond, given["t"], given["noise"])
    loss.backward()
    got = {
        n.replace("garment_proj.", "cond_stage_model.projector."): p.grad for n, p in model.named_parameters()
    }
    got = {name: None if gradient is None else gradient.numpy() for name, gradient in got.items()}
    for name in map(str, found.expected["no_grad_keys"]):
        assert got.get(name) is None, name
    expect_equal(found, dict(loss=loss, gradients=got))
