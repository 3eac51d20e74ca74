"""The calls behind the original's numbers: each function gives {name in v15_32.npz: array}."""

import numpy as np
import torch
from einops import rearrange, repeat

from cldm.ddim_hacked import DDIMSampler
from golden.weights import normal, projection, uniform
from ldm.modules.diffusionmodules.util import make_beta_schedule, timestep_embedding

ONES, RAMP = [1.0] * 13, [round(0.2 + 0.1 * i, 10) for i in range(13)]
GUESS = [0.825 ** float(12 - i) for i in range(13)]
TRAINED = {True: ("control_model.",)}
TRAINED[False] = (*TRAINED[True], "model.diffusion_model.output_blocks.", "model.diffusion_model.out.")
SCHEDULE = """betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod
    log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance
    posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2 logvar""".split()
WHOLE_GRADIENTS = """zero_convs.0.0.weight input_hint_block.0.weight input_blocks.0.0.weight time_embed.0.bias
    input_blocks.4.1.norm.weight middle_block_out.0.bias""".split()

x, x_start, noise, x_T = (normal(f"in.{name}", 2, 4, 16, 16) for name in ("x", "x_start", "noise", "x_T"))
t = torch.tensor([7, 601])
context = normal("in.context64", 2, 77, 64)
uncond = repeat(normal("in.uncond64", 1, 77, 64), "1 n d -> 2 n d")
hint = uniform("in.hint", 2, 3, 128, 128)
image, z = uniform("in.image", 1, 3, 128, 128) * 2 - 1, normal("in.z", 1, 4, 16, 16)
wide_x, wide_hint = normal("in.x_ns", 1, 4, 16, 24), uniform("in.hint_ns", 1, 3, 128, 192)


def condition(context=context, hint=hint):
    return {"c_crossattn": [context], "c_concat": None if hint is None else [hint]}


def arrays(**named):
    return {key: value.detach().numpy() for key, value in named.items()}


@torch.no_grad()
def residuals(model):
    control = model.control_model(x=x, hint=hint, timesteps=t, context=context)
    return {f"ii/control_{i:02d}": residual.numpy() for i, residual in enumerate(control)}


@torch.no_grad()
def unet(model):
    control = model.control_model(x=x, hint=hint, timesteps=t, context=context)
    options = {
        "no_control": dict(control=None),
        "control": dict(control=control),
        "control_only_mid": dict(control=control, only_mid_control=True),
    }
    call = model.model.diffusion_model
    return {
        f"iii/{k}": call(x=x, timesteps=t, context=context, **kwargs).numpy() for k, kwargs in options.items()
    }


@torch.no_grad()
def apply_model(model):
    def call(scales, x=x, t=t, only_mid=False, **cond):
        model.control_scales, model.only_mid_control = list(scales), only_mid
        return model.apply_model(x, t, condition() | cond).numpy()

    long = torch.cat([context[:1], uncond[:1], context[1:]], 1)
    return {
        "iv/scales_one": call(ONES),
        "iv/scales_ramp": call(RAMP),
        "iv/c_concat_none": call(RAMP, c_concat=None),
        "iv/scales_ramp_only_mid": call(RAMP, only_mid=True),
        "iv/scales_ramp_two_crossattn": call(RAMP, c_crossattn=[context[:, :40], context[:, 40:]]),
        "iv/non_square": call(
            ONES, wide_x, torch.tensor([981]), c_crossattn=[context[:1]], c_concat=[wide_hint]
        ),
        "iv/long_context_231": call(ONES, x[:1], t[:1], c_crossattn=[long], c_concat=[hint[:1]]),
    }


def gradients(model, locked):
    model.sd_locked = locked
    optimizer, tag = model.configure_optimizers(), "locked" if locked else "unlocked"
    loss, logs = model.train().p_losses(x_start, condition(), t, noise=noise)
    loss.backward()
    named = {k: p.grad for k, p in model.named_parameters() if k.startswith(TRAINED[locked])}
    exact = {k: gradient.double().numpy() for k, gradient in named.items()}
    names = [f"control_model.{name}" for name in WHOLE_GRADIENTS if locked]
    optimized = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    return {
        f"v/{tag}/n_optimized": np.array(optimized),
        f"v/{tag}/loss": loss.detach().numpy(),
        f"v/{tag}/loss_dict/train/loss_simple": logs["train/loss_simple"].numpy(),
        f"v/{tag}/grad_keys": np.array(list(exact)),
        f"v/{tag}/grad_norms": np.array([np.linalg.norm(g) for g in exact.values()]),
        f"v/{tag}/grad_projections": np.array([projection(k, g) for k, g in exact.items()]),
    } | {f"v/grad/{k}": named[k].numpy() for k in names}


def trajectory(model, locked):
    """Losses of five AdamW steps at a learning rate of 1e-4."""
    model.sd_locked, model.learning_rate, losses = locked, 1e-4, []
    optimizer = model.configure_optimizers()
    model.train()
    for step in range(5):
        timesteps = torch.tensor([(137 * i + 11) % 1000 for i in (2 * step, 2 * step + 1)])
        step_noise = normal(f"traj.noise{step}", 2, 4, 16, 16)
        loss, _ = model.p_losses(x_start, condition(), timesteps, noise=step_noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {f"v/trajectory_{'locked' if locked else 'unlocked'}": np.array(losses)}


@torch.no_grad()
def autoencoder(model):
    posterior = model.first_stage_model.encode(image)
    mean, logvar, std, mode = posterior.mean, posterior.logvar, posterior.std, posterior.mode()
    named = dict(
        moments=posterior.parameters, mean=mean, logvar=logvar, std=std, mode=mode, kl=posterior.kl()
    )
    named |= dict(
        decode=model.first_stage_model.decode(z), decode_first_stage=model.decode_first_stage(z * 0.18215)
    )
    return {f"vi/{k}": v for k, v in arrays(**named).items()}


def ddim_schedule(model):
    numbers = {}
    for num_steps in (10, 20, 50):
        for eta in (0.0, 1.0):
            sampler, key = DDIMSampler(model), f"vii/S{num_steps}_eta{int(eta)}"
            sampler.make_schedule(num_steps, ddim_eta=eta, verbose=False)
            numbers[f"{key}/timesteps"] = np.asarray(sampler.ddim_timesteps)
            for table in ("alphas", "alphas_prev", "sigmas", "sqrt_one_minus_alphas"):
                numbers[f"{key}/ddim_{table}"] = np.asarray(getattr(sampler, f"ddim_{table}"))
    return numbers


def ddim_samples(model):
    def sample(uncond, scale, scales=ONES):
        model.control_scales = scales
        options = dict(unconditional_guidance_scale=scale, unconditional_conditioning=uncond)
        drawn, _ = DDIMSampler(model).sample(
            10, 2, (4, 16, 16), condition(), verbose=False, x_T=x_T, **options
        )
        return drawn.numpy()

    return {
        "vii/guess_scales": np.array(GUESS),
        "vii/sample_cfg7.5": sample(condition(uncond), 7.5),
        "vii/sample_guess_cfg7.5": sample(condition(uncond, None), 7.5, GUESS),
        "vii/sample_no_cfg": sample(None, 1.0),
    }


def noise_schedule(model):
    named = {name: getattr(model, name) for name in SCHEDULE}
    named |= dict(
        q_sample=model.q_sample(x_start, t, noise=noise),
        get_v=model.get_v(x_start, noise, t),
        predict_start_from_noise=model.predict_start_from_noise(x, t, noise),
        predict_start_from_z_and_v=model.predict_start_from_z_and_v(x, t, noise),
        predict_eps_from_z_and_v=model.predict_eps_from_z_and_v(x, t, noise),
    )
    return {f"viii/{k}": v for k, v in arrays(**named).items()}


def time_embedding(model):
    timesteps = torch.tensor([0, 1, 10, 500, 901, 999])
    named = {f"emb_{dim}": timestep_embedding(timesteps, dim) for dim in (32, 33, 320)}
    named |= dict(t=timesteps, emb_320_fractional=timestep_embedding(torch.tensor([0.5, 123.25]), 320))
    betas = make_beta_schedule("linear", 1000, linear_start=0.00085, linear_end=0.0120)
    return {f"ix/{k}": v for k, v in arrays(**named).items()} | {"ix/betas_linear": betas}


@torch.no_grad()
def seeded_draws(model):
    """Equal only if random numbers are drawn in the original's order: posterior, timesteps, noise."""
    batch = {name: rearrange(v, "b c h w -> b h w c") for name, v in (("jpg", image), ("hint", hint[:1]))}
    batch["txt"] = context[:1]
    torch.manual_seed(1234)
    latents, cond = model.get_input(batch, "jpg")
    torch.manual_seed(1234)
    loss, _ = model.shared_step(batch)
    torch.manual_seed(99)
    one, options = (
        condition(context[:1], hint[:1]),
        dict(eta=0.7, unconditional_guidance_scale=3.0, verbose=False),
    )
    options["unconditional_conditioning"] = condition(uncond[:1], hint[:1])
    drawn, _ = DDIMSampler(model).sample(10, 1, (4, 16, 16), one, **options)
    sums = {k: cond[c][0].double().sum() for k, c in (("hint", "c_concat"), ("ctx", "c_crossattn"))}
    named = dict(get_input_z=latents, get_input_hint_sum=sums["hint"], get_input_ctx_sum=sums["ctx"])
    named |= {"shared_step_loss": loss, "sample_eta0.7_seed99": drawn}
    return {f"xi/{k}": v for k, v in arrays(**named).items()}
