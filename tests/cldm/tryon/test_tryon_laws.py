"""Laws of try-on's conditions: what changes nothing at first, what dropped means, what is read once."""

from dataclasses import replace

import pytest
import torch

from cldm.guidance import Guidance, Term, guide_by, guide_jointly
from cldm.tryon.attention import Tokens
from cldm.tryon.conditions import check_pixels
from cldm.tryon.flow import find_flow, flow_loss
from cldm.tryon.model import choose_trained, tryon_denoiser
from cldm.tryon.unet import choose_sites, widen_first_convolution
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import ROW_SEED, row_generators
from small import UNET
from small_tryon import (
    AGNOSTIC,
    COLLAGE_NET,
    MASK,
    REFERENCE,
    STACK,
    TEXT,
    TOKENS,
    batch,
    build,
    entry,
    garment,
    noisy,
)

NAMES = ("zero_latent", "zero_features", "no_tokens")


def encode(model, items=None):
    return model.get_input(items or batch(), "jpg")[1]


def dropped(encoded, *names):
    rows = len(next(iter(encoded["garment"].values()))) if "garment" in encoded else 2
    return {name: torch.full((rows,), name in names) for name in encoded}


@torch.no_grad()
def predict(model, encoded, *names, rows=1):
    x, t = noisy(rows=rows)
    return model.apply_model(x, t, model.prepare(encoded, dropped(encoded, *names)))


@pytest.mark.parametrize("mix", ["gated", "decoupled"])
def test_a_fresh_gate_or_decoupled_layer_changes_nothing(mix):
    model = build(REFERENCE | dict(garment=garment()), person_unet=dict(mix=mix), zeros=True)
    with torch.no_grad():  # a U-Net of zero output would agree with anything
        model.model.diffusion_model.out[2].weight.normal_()
    unet, (x, t) = model.model.diffusion_model, noisy()
    x = torch.cat([x, x, x[:, :1]], dim=1)
    context = model.get_learned_conditioning(["a", "b"])
    tokens = model.prepare(encode(model), dropped(encode(model)))["garment"]["tokens"]
    assert torch.equal(unet(x, t, Tokens(context, references=tokens)), unet(x, t, Tokens(context)))


def test_a_widened_first_convolution_reads_what_it_read():
    weight = torch.randn(8, 4, 3, 3)
    wide = widen_first_convolution(weight, 9)
    assert torch.equal(wide[:, :4], weight) and not wide[:, 4:].any()
    with pytest.raises(ValueError, match="the base reads 9 channels, more than the 4"):
        widen_first_convolution(wide, 4)


@pytest.mark.parametrize("mix", ["concat", "gated", "decoupled"])
def test_no_tokens_is_the_person_alone(mix):
    """Row by row: a dropped row beside one that is kept."""
    model = build(REFERENCE | dict(garment=garment(drop_to="no_tokens")), person_unet=dict(mix=mix))
    encoded, (x, t) = encode(model), noisy()
    half = {name: torch.tensor([False, name == "garment"]) for name in encoded}
    with torch.no_grad():
        mixed = model.apply_model(x, t, model.prepare(encoded, half))
        prepared = model.prepare(encoded, dropped(encoded))
        kept = model.apply_model(x, t, prepared)
        alone = model.apply_model(x, t, {k: v for k, v in prepared.items() if k != "garment"})
    assert torch.allclose(mixed[0], kept[0], atol=1e-5) and torch.allclose(mixed[1], alone[1], atol=1e-5)
    assert not torch.allclose(kept[1], alone[1], atol=1e-3)


@pytest.mark.parametrize("null", NAMES)
def test_nulls_are_different_functions_of_nothing_that_is_dropped(null):
    model = build(REFERENCE | dict(garment=garment(drop_to=null)))
    other = batch() | dict(garment=batch(seed=9)["garment"])
    outputs = [predict(model, encode(model, items), "garment") for items in (batch(), other)]
    assert torch.equal(*outputs)
    assert not torch.allclose(outputs[0], predict(model, encode(model)), atol=1e-3)


def test_the_nulls_differ_from_each_other():
    outputs = []
    for null in NAMES:
        model = build(REFERENCE | dict(garment=garment(drop_to=null)))
        outputs.append(predict(model, encode(model), "garment"))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(outputs[i], outputs[j], atol=1e-4)


@pytest.mark.parametrize("mix", ["concat", "gated", "decoupled"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_recomputing_changes_no_gradient_and_reaches_every_trained_tensor(mix, norm):
    found = []
    for recompute in (False, True):
        model = build(
            REFERENCE | dict(garment=garment(recompute, norm=norm)),
            person_unet=dict(mix=mix, norm=norm, use_checkpoint=recompute),
            train_unet="all",
        ).train()
        loss, _ = model.shared_step(batch(), torch.Generator().manual_seed(5))
        loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    for name, gradient in found[0].items():
        assert (gradient is found[1][name] is None) or torch.equal(gradient, found[1][name])
    assert found[0]["garment_model.input_blocks.0.0.weight"].any()


@pytest.mark.parametrize("sites", [None, "encoder", "decoder", ["input_blocks.1.1", "middle_block.1"]])
def test_what_lies_behind_the_last_site_neither_runs_nor_trains(sites):
    model = build(REFERENCE | dict(garment=garment(sites=sites)), train_unet="none").train()
    loss, _ = model.shared_step(batch(), torch.Generator().manual_seed(5))
    loss.backward()
    network = model.garment_model
    tail = {id(p) for part in network.unused_parts() for p in part.parameters()}
    for parameter in network.parameters():
        assert (parameter.grad is None) == (id(parameter) in tail) == (not parameter.requires_grad)
    tokens = model.prepare(encode(model), dropped(encode(model)))["garment"]["tokens"]
    assert list(tokens) == network.sites


def test_sites_are_named_or_refused():
    known = ["input_blocks.1.1", "input_blocks.3.1", "middle_block.1", "output_blocks.0.1"]
    assert choose_sites(known, ["decoder", "input_blocks.3.1"]) == known[1:2] + known[3:]
    with pytest.raises(ValueError, match="'bottom' is none of encoder, middle, decoder, input_blocks.1.1"):
        choose_sites(known, ["bottom"])


def test_a_step_draws_from_its_generator_alone():
    model, losses = build(STACK | dict(garment=entry("StackedGarment")), person_unet=dict(context="skip")), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        losses.append(model.shared_step(batch(), torch.Generator().manual_seed(5))[0])
    assert losses[0] == losses[1]


def test_the_convolution_that_anydoors_branch_never_runs_does_not_train():
    model = build(TEXT | dict(control=entry("ControlHint", branch=COLLAGE_NET)), in_channels=4).train()
    hint = torch.rand(2, 64, 48, 4, generator=torch.Generator().manual_seed(1))
    loss, _ = model.shared_step(batch() | dict(hint=hint), torch.Generator().manual_seed(5))
    loss.backward()
    for name, parameter in model.control_model.named_parameters():
        never_runs = name.startswith("input_blocks.0.")
        assert (parameter.grad is None) == never_runs == (not parameter.requires_grad), name


def test_two_garments_are_one_longer_reference():
    conditions = REFERENCE | dict(garment=garment())
    model = build(conditions | dict(bottoms=garment(key="agnostic")))
    both = predict(model, encode(model))
    model.conditions["bottoms"].drop_to = model.conditions["garment"].drop_to = "no_tokens"
    assert not torch.allclose(both, predict(model, encode(model), "bottoms"), atol=1e-4)


def test_a_map_and_a_garment_steer_together():
    control = entry(
        "ControlHint", branch=dict(target="cldm.cldm.ControlNet", params=dict(hint_channels=3, **UNET))
    )
    model = build(TEXT | dict(garment=garment(), control=control), in_channels=4)
    items = batch() | dict(hint=torch.rand(2, 64, 48, 3, generator=torch.Generator().manual_seed(1)))
    encoded = encode(model, items)
    outputs = [predict(model, encoded, *names) for names in ((), ("control",), ("garment",))]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(outputs[i], outputs[j], atol=1e-4)
    assert "control_model.zero_convs.0.0.weight" in model.state_dict()


class TestSampling:
    """A garment is read once: its tokens and their keys serve every step."""

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("norm", ["pre", "post"])
    def test_remembered_tokens_equal_recomputed_ones_over_a_whole_sampling(self, sampler, norm):
        model = build(REFERENCE | dict(garment=garment(norm=norm)), person_unet=dict(norm=norm))
        encoded, guidance, (x, _) = encode(model), guide_by("garment", 2.0), noisy()
        steps = [1, 251, 501, 751]

        def recomputing(x, t):
            steps = torch.full((len(x),), t)
            parts = [
                model.apply_model(x, steps, model.prepare(encoded, dropped(encoded, *term.dropped)))
                for term in guidance.terms
            ]
            return model.predictions(x, steps, guidance.combine(torch.cat(parts)))

        draw = SAMPLERS[sampler].run
        with torch.no_grad():
            once = draw(tryon_denoiser(model, encoded, guidance), x, model.alphas_cumprod, steps)
            anew = draw(recomputing, x, model.alphas_cumprod, steps)
        assert torch.allclose(once, anew, atol=1e-4)

    def test_the_garments_network_runs_once_a_picture(self):
        model, calls = build(REFERENCE | dict(garment=garment())), []
        model.garment_model.register_forward_pre_hook(lambda *_: calls.append(1))
        denoise = tryon_denoiser(model, encode(model), guide_by("garment", 2.0))
        x = noisy()[0]
        for t in (900, 500, 100):
            denoise(x, t)
        assert len(calls) == 1

    def test_in_step_with_the_person_it_runs_at_each_timestep(self):
        model, calls = build(REFERENCE | dict(garment=garment(time="sync"))), []
        model.garment_model.register_forward_pre_hook(lambda *_: calls.append(1))
        denoise = tryon_denoiser(model, encode(model), guide_by("garment", 2.0))
        first, second = (denoise(noisy()[0], t)[0] for t in (900, 500))
        assert len(calls) == 2 and not torch.equal(first, second)

    def test_a_one_way_reference_knows_no_timestep_noise_or_person(self):
        model = build(REFERENCE | dict(garment=garment(time="none", context="a garment")))
        other = batch(seed=4) | dict(garment=batch()["garment"])
        tokens = [
            model.prepare(encoded, dropped(encoded))["garment"]["tokens"]
            for encoded in (encode(model), encode(model, other))
        ]
        assert all(torch.equal(tokens[0][site], tokens[1][site]) for site in tokens[0])
        assert "garment_classes.weight" in model.state_dict()

    def test_one_network_may_read_both(self):
        """FastFit: the garment by the person's own U-Net, but for its first convolution, and no timestep."""
        shared = entry("GarmentReference", time="none", context="none", width=32)
        model = build(STACK | dict(garment=shared), person_unet=dict(context="skip"))
        assert predict(model, encode(model)).shape == noisy()[0].shape
        names = {name.split(".")[0] for name in model.state_dict()}
        assert {"garment_first", "garment_classes"} < names and "garment_model" not in names
        other = encode(model, batch() | dict(garment=batch(seed=5)["garment"]))
        assert not torch.allclose(predict(model, encode(model)), predict(model, other), atol=1e-4)


class TestDeCo:
    """DeCo-VTON (arXiv 2511.18775): garment-free guidance, decoupled loss, clean-latent anchoring."""

    @staticmethod
    def model(anchored=True, null="garment_free", **options):
        stacked = entry("StackedGarment", drop_to=null, anchored=anchored, draw="mode")
        return build(STACK | dict(garment=stacked), person_unet=dict(context="skip"), **options)

    def encoded(self, model, items=None):
        encoded = encode(model, items)
        noise = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(8))
        return encoded | dict(garment=encoded["garment"] | dict(noise=noise))

    def test_garment_free_is_independent_of_the_garment(self):
        model = self.model()
        other = batch() | dict(garment=batch(seed=7)["garment"])
        free, of_other = (predict(model, self.encoded(model, items), "garment") for items in (batch(), other))
        assert torch.equal(free, of_other)

    def test_guidance_of_scale_1_asks_for_no_garment_free_prediction(self):
        assert guide_by("garment", 1.0).terms == (Term((), 1.0),)

    def test_the_samplers_state_is_the_persons_half(self):
        model = self.model()
        assert predict(model, self.encoded(model)).shape == noisy()[0].shape

    def test_anchored_rows_are_the_garment_noised_to_each_timestep_with_one_noise(self):
        model, seen = self.model(), []
        model.model.diffusion_model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        encoded = self.encoded(model)
        denoise = tryon_denoiser(model, encoded, guide_by("garment", 2.5))
        for t in (900, 100):
            denoise(noisy()[0], t)
            free, rows = seen[-1][:, :4, 8:].chunk(2)
            wanted = model.q_sample(
                encoded["garment"]["latents"], torch.tensor([t, t]), encoded["garment"]["noise"]
            )
            assert torch.allclose(rows, wanted, atol=1e-6)
            assert not free.any()

    def test_the_persons_loss_sends_nothing_through_the_garments_rows(self):
        model = self.model(anchored=False, null="condition", loss_rows="person").train()
        outputs, original = [], model.apply_model

        def keep(*arguments):
            outputs.append(original(*arguments))
            outputs[-1].retain_grad()
            return outputs[-1]

        model.apply_model = keep
        x, t = noisy(rows=2)
        encoded = encode(model)
        loss, _ = model.p_losses(
            x.requires_grad_(), model.prepare(encoded, dropped(encoded)), t, torch.randn_like(x)
        )
        loss.backward()
        person, rows = outputs[0].grad.chunk(2, dim=2)
        assert person.any() and not rows.any()

    def test_the_persons_loss_is_a_mean_over_its_half(self):
        both, person = (
            self.model(anchored=False, null="condition", loss_rows=rows) for rows in ("both", "person")
        )
        x, t = noisy(rows=2)
        noise = torch.zeros_like(x)
        encoded = encode(both)
        with torch.no_grad():
            output = both.apply_model(both.q_sample(x, t, noise), t, both.prepare(encoded, dropped(encoded)))
            found, _ = person.p_losses(x, person.prepare(encoded, dropped(encoded)), t, noise)
        assert torch.allclose(found, output.chunk(2, dim=2)[0].square().mean(), rtol=1e-4)

    def test_catvtons_null_keeps_the_noisy_garment(self):
        model, seen = self.model(anchored=False, null="condition"), []
        model.model.diffusion_model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        encoded = encode(model)
        predict(model, encoded, rows=2)
        predict(model, encoded, "garment", rows=2)
        given, null = seen
        assert torch.equal(given[:, :5], null[:, :5]) and torch.equal(given[:, 5:, :8], null[:, 5:, :8])
        assert not null[:, 5:, 8:].any() and given[:, 5:, 8:].any()


@pytest.mark.parametrize(
    "model",
    [
        lambda: build(TEXT | AGNOSTIC | MASK),
        lambda: TestDeCo.model(anchored=False, null="condition", loss_rows="person"),
        lambda: TestDeCo.model(),
    ],
    ids=["channels", "stacked", "anchored"],
)
def test_held_out_losses_inside_and_outside_of_the_mask_are_parts_of_the_persons_loss(model):
    model, t = model(), torch.tensor([400])
    for mask in (batch(1)["mask"], torch.ones(1, *batch(1)["mask"].shape[1:])):
        held = model.encode_held_out(batch(1) | dict(mask=mask))
        found = model.held_out_losses(held, t, [torch.Generator().manual_seed(0)])
        share = held["mask"].mean().item()
        whole = share * found["inside"] + (1 - share) * found["outside"]
        assert found["loss"] == pytest.approx(whole, rel=1e-5) and found["inside"] > 0
    assert found["outside"] == 0
    bare = {key: value for key, value in batch(1).items() if key != "mask"}
    if "mask" not in model.conditions:  # folders may have none
        held = model.encode_held_out(bare)
        assert {*model.held_out_losses(held, t, [torch.Generator().manual_seed(0)])} == {"loss"}


class TestImageTokens:
    @staticmethod
    def model(site="decoupled", context="text+image", **options):
        tokens = entry("ImageTokens", **TOKENS, site=site, **options)
        return build(TEXT | dict(image=tokens), in_channels=4, person_unet=dict(context=context))

    def test_a_scale_of_0_is_the_base(self):
        model = self.model(scale=0.0)
        encoded, (x, t) = encode(model), noisy()
        with torch.no_grad():
            prepared = model.prepare(encoded, dropped(encoded))
            without = model.apply_model(x, t, {"text": prepared["text"]})
            assert torch.equal(model.apply_model(x, t, prepared), without)

    @pytest.mark.parametrize("null", ["zero_features", "black", "zeros"])
    def test_dropped_image_prompts_say_nothing_of_the_picture(self, null):
        model = self.model(drop_to=null)
        other = batch() | dict(garment_pixels=batch(seed=5)["garment_pixels"])
        assert torch.equal(*(predict(model, encode(model, items), "image") for items in (batch(), other)))

    @pytest.mark.parametrize(("site", "length"), [("append", 5 + 2), ("replace", 2), ("decoupled", 5)])
    def test_tokens_lengthen_or_replace_the_text(self, site, length):
        model, seen = self.model(site, "text+image" if site == "decoupled" else "text"), []
        model.model.diffusion_model.register_forward_pre_hook(
            lambda _, args: seen.append(args[2].text.shape[1])
        )
        predict(model, encode(model))
        assert seen == [length]

    def test_a_garment_reads_the_prompt_that_an_image_was_written_into(self):
        """Both U-Nets have one context; a garment that stands before the image reads the text alone."""
        vector = TOKENS | dict(projector=dict(target="small_tryon.WideToken"))
        image = dict(image=entry("ImageTokens", **vector, site="fill"))
        seen = []
        for conditions in (TEXT | image | dict(garment=garment()), TEXT | dict(garment=garment()) | image):
            model = build(conditions, in_channels=4)
            encoded = encode(model)
            prepared = model.prepare(encoded, dropped(encoded))
            context = prepared["image"]["context"]
            assert context.shape == encoded["text"]["context"].shape
            assert torch.equal(context[:, 0], encoded["text"]["context"][:, 0])
            assert torch.equal(context[:, 1], context[:, 4])
            seen.append(prepared["garment"]["tokens"]["middle_block.1"])
        assert not torch.allclose(*seen)

    def test_an_encoder_takes_bytes_so_that_nobody_normalises_twice(self):
        with pytest.raises(ValueError, match="image reads uint8 pictures .* got torch.float32"):
            check_pixels(torch.rand(1, 8, 8, 3), "image")


class TestFlow:
    """Leffa's term."""

    def test_looking_at_oneself_is_no_flow(self):
        flow = find_flow(torch.eye(12)[None], 4, 3)
        picture = torch.rand(1, 3, 4, 3)
        warped = torch.nn.functional.grid_sample(picture, flow, align_corners=False)
        assert torch.allclose(warped, picture, atol=1e-5)

    def test_a_known_shift_undoes_a_shift(self):
        picture = torch.rand(2, 3, 8, 8)
        shares = torch.eye(64).reshape(8, 8, 64).roll(1, dims=1).reshape(64, 64)
        moved, ones, t = picture.roll(1, dims=3), torch.ones(2, 1, 8, 8), torch.tensor([10, 20])
        shares = shares[None].expand(2, -1, -1)
        inner = ones.clone()
        inner[..., 0] = 0
        assert float(flow_loss(dict(a=shares), picture, moved, inner, t)) < 1e-10
        assert float(flow_loss(dict(a=shares), picture, picture, inner, t)) > 1e-3

    def test_late_timesteps_have_no_part_in_it(self):
        shares = torch.rand(1, 16, 16, requires_grad=True)
        pictures = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
        assert not flow_loss(dict(a=shares), *pictures, torch.tensor([500])).requires_grad
        assert flow_loss(dict(a=shares), *pictures, torch.tensor([499])).requires_grad

    def test_the_term_reaches_the_garments_network_and_is_off_by_default(self):
        model = build(REFERENCE | dict(garment=garment()), train_unet="none", flow_weight=1e-3).train()
        model.draw_timesteps = lambda num, _: torch.tensor([30, 40])
        _, logs = model.shared_step(batch(), torch.Generator().manual_seed(0))
        assert logs["train/loss_flow"] > 0
        plain = build(REFERENCE | dict(garment=garment()), train_unet="none").train()
        assert "train/loss_flow" not in plain.shared_step(batch(), torch.Generator().manual_seed(0))[1]


class TestDream:
    def test_a_right_prediction_or_a_large_power_changes_nothing(self):
        model = build(REFERENCE | dict(garment=garment()), dream=1e4)
        encoded, (x, t) = encode(model), noisy()
        noise, cond = torch.randn_like(x), model.prepare(encoded, dropped(encoded))
        moved, target = model.rectify(model.q_sample(x, t, noise), cond, t, noise)
        assert torch.allclose(target, noise, atol=1e-6)
        assert torch.allclose(moved, model.q_sample(x, t, noise), atol=1e-6)
        model.dream, model.apply_model = 1.0, lambda *_: noise
        assert torch.equal(model.rectify(model.q_sample(x, t, noise), cond, t, noise)[1], noise)


class TestGuidance:
    def test_predictions_that_agree_stay_as_they_are(self):
        x = torch.randn(2, 4, 8, 6)
        for guidance in (guide_by("garment", 2.5), guide_jointly("text", "garment", 7.5, 2.5)):
            assert torch.allclose(guidance.combine(x.repeat(len(guidance.terms), 1, 1, 1)), x, atol=1e-4)

    @pytest.mark.parametrize(
        ("terms", "words"),
        [
            ([[["garment"], 1.0], [[], 1.0]], "must sum to 1, they sum to 2"),
            ([], "terms that drop different conditions"),
            ([[["a", "b"], 0.5], [["b", "a"], 0.5]], "terms that drop different conditions"),
        ],
    )
    def test_lists_that_are_no_guidance_are_refused(self, terms, words):
        with pytest.raises(ValueError, match=words):
            Guidance.read(terms)

    def test_another_scale_is_of_the_same_conditions(self):
        assert guide_by("garment", 2.5).rescaled(4.0) == guide_by("garment", 4.0)
        assert guide_by(("garment", "text"), 2.0).rescaled(1.5) == guide_by(("garment", "text"), 1.5)
        assert Guidance.read(guide_by("garment", 3.0).describe()) == guide_by("garment", 3.0)
        for guidance in (guide_jointly("text", "garment", 7.5, 2.5), guide_by("garment", 1.0)):
            with pytest.raises(ValueError, match="has not one scale"):
                guidance.rescaled(2.0)

    def test_a_recipe_names_its_own_conditions(self):
        with pytest.raises(ValueError, match="guidance drops 'coat', conditions are text, garment"):
            build(TEXT | dict(garment=garment()), in_channels=4, guidance=[[["coat"], -1], [[], 2]])


def test_dropout_has_its_share_and_follows_the_seed():
    model = build(REFERENCE | dict(garment=garment(dropout=0.1)))
    draws = [model.draw_dropped(4000, torch.Generator().manual_seed(seed))["garment"] for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert abs(draws[0].float().mean() - 0.1) < 0.02
    assert not model.draw_dropped(100)["agnostic"].any()


STACKED = STACK | dict(
    agnostic=entry("LatentChannels", key="agnostic", draw="sample"),
    garment=entry("StackedGarment", drop_to="garment_free", anchored=True, dropout=0.5),
)
READ = REFERENCE | dict(garment=garment(drop_to="no_tokens", draw="sample", dropout=0.5))


@pytest.mark.parametrize(("conditions", "options"), [(STACKED, dict(dream=2)), (READ, {})])
def test_what_a_row_draws_and_goes_without_is_the_same_in_any_batch(conditions, options, monkeypatch):
    stacked = dict(person_unet=dict(context="skip"), loss_rows="person") if conditions is STACKED else {}
    model = build(conditions, train_unet="all", **options, **stacked).train()
    monkeypatch.setattr(model, "log_dict", lambda logs, **_: None)
    given, seeds = batch(), [3, 6]  # the garment is dropped of one of them
    dropped = model.drop_conditions(given, row_generators({ROW_SEED: seeds}))["dropped"]["garment"]
    assert sorted(dropped.tolist()) == [False, True]
    whole = model.training_step(given | {ROW_SEED: seeds}, 0)
    rows = [{key: value[i : i + 1] for key, value in given.items()} for i in (0, 1)]
    parts = [model.training_step(row | {ROW_SEED: [seed]}, 1) for row, seed in zip(rows, seeds, strict=True)]
    assert torch.allclose(sum(parts) / 2, whole, rtol=1e-4)
    other = model.training_step(rows[1] | {ROW_SEED: seeds[:1]}, 1)
    assert not torch.allclose(other, parts[1], rtol=1e-2)


def test_what_trains_is_named():
    model = build(
        REFERENCE | dict(garment=garment(train="none")),
        person_unet=dict(mix="decoupled"),
        train_unet="reference+first",
    ).train()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("_ref." in name or ".input_blocks.0.0." in name for name in trained) and trained
    with pytest.raises(ValueError, match="choice of what trains, 'self'.*; known: none, first, attn1"):
        choose_trained(model.model.diffusion_model, "self")


def test_a_dropped_row_in_training_is_guidances_null_tensor_for_tensor():
    conditions = REFERENCE | dict(garment=garment(norm="pre"), image=entry("ImageTokens", **TOKENS))
    model = build(conditions)
    encoded = encode(model)
    trained = model.prepare(encoded, {name: torch.tensor([True, False]) for name in encoded})
    guided = model.prepare(encoded, dropped(encoded, *encoded))
    for name, values in trained.items():
        for key, value in values.items():
            of_guidance = guided[name][key]
            pairs = (
                [(value, of_guidance)]
                if not isinstance(value, dict)
                else [(value[site], of_guidance[site]) for site in value]
            )
            assert all(torch.allclose(a[:1].float(), b[:1].float(), atol=1e-5) for a, b in pairs)


def test_unknown_choices_are_named():
    for options, words in [
        (
            dict(drop_to="none"),
            "garment.drop_to must be one of zero_latent, zero_features, no_tokens, got 'none'",
        ),
        (dict(time="once"), "garment.time must be one of zero, sync, none"),
        (dict(dropout=1.0), "garment.dropout must be at least 0 and below 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            build(TEXT | dict(garment=garment(**options)), in_channels=4)
    with pytest.raises(ValueError, match="mix must be one of concat, gated, decoupled, got 'sum'"):
        build(TEXT, in_channels=4, person_unet=dict(mix="sum"))


def test_a_pose_may_be_added_to_the_noise_instead():
    summed = entry("LatentChannels", key="agnostic", how="sum")
    model = build(TEXT | dict(agnostic=summed, garment=garment()), in_channels=4)
    assert predict(model, encode(model)).shape == noisy()[0].shape


def test_tokens_are_values():
    tokens = Tokens(torch.zeros(1, 2, 3))
    assert replace(tokens, image_scale=0.5).image_scale == 0.5 and tokens.image_scale == 1.0


def test_channels_come_in_the_order_of_the_recipe():
    model, seen = build(TEXT | MASK | AGNOSTIC), []
    model.model.diffusion_model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoded = encode(model)
    predict(model, encoded)
    assert torch.equal(seen[0][:, 4:5], encoded["mask"]["mask"])
    assert torch.equal(seen[0][:, 5:], encoded["agnostic"]["latents"])
