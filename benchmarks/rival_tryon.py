"""The joint two-U-Net step of try-on beside the same written with diffusers' classes, as public trainers do.

    python benchmarks/rival_tryon.py                     # some minutes on any CPU
    python benchmarks/rival_tryon.py --clock cpu         # where others compute on the machine, too

The peer encodes pictures and prompts in every step, runs the garment's U-Net to its end, sets person and
garment side by side in self-attention and keeps the first half (OOTDiffusion, arXiv 2403.01779). Weights,
noise, timesteps and dropped garments are the same, and so are loss and gradients (tests/test_benchmarks.py).
Steps take turns in one process of one thread; a ratio is that of two steps of the same round. Peak memory is
that of a process for each way, beyond what it holds before the model is built.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from einops import rearrange
from omegaconf import OmegaConf
from torch import nn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "tests" / "helpers")]

from bench_tryon import MIB, Step, prepare, write_folder  # noqa: E402
from rival_diffusers import diffusers_text  # noqa: E402
from train_child import peak, reset_peak  # noqa: E402

from cldm.model import load_model, read_config  # noqa: E402
from diffusers_pair import diffusers_unet, diffusers_vae  # noqa: E402
from ldm.models.diffusion.ddpm import LatentDiffusion  # noqa: E402
from ldm.modules.diffusionmodules.util import draw_normal  # noqa: E402

RECIPE = ROOT / "models" / "tryon_tiny_joint.yaml"
WAYS = "ours, cached", "ours, from pictures", "diffusers' classes"


class RecordingBlock(nn.Module):
    """A transformer block of the garment, whose input is noted."""

    def __init__(self, block, tokens: list):
        super().__init__()
        self.block, self.tokens = block, tokens

    def forward(self, hidden_states, **options):
        self.tokens.append(hidden_states)
        return self.block(hidden_states, **options)


class JoiningBlock(RecordingBlock):
    """A transformer block of the person: what was noted stands beside its input in self-attention."""

    def forward(self, hidden_states, encoder_hidden_states=None, **options):
        block, both = self.block, torch.cat([hidden_states, self.tokens.pop(0)], dim=1)
        both = both + block.attn1(block.norm1(both))
        person = both.chunk(2, dim=1)[0]
        person = person + block.attn2(block.norm2(person), encoder_hidden_states=encoder_hidden_states)
        return person + block.ff(block.norm3(person))


def wrap_blocks(unet, kind, tokens):
    """Put blocks of a kind around all transformer blocks of a U-Net."""
    for module in list(unet.modules()):
        for name, child in module.named_children():
            if isinstance(child, BasicTransformerBlock) and not isinstance(module, RecordingBlock):
                setattr(module, name, kind(child, tokens))


class Peer(nn.Module):
    """The tiny joint recipe by diffusers' classes, with the weights of a graft."""

    draw_timesteps = LatentDiffusion.draw_timesteps  # which picture gets which must be this project's rule

    def __init__(self, recipe, weights):
        super().__init__()
        params = OmegaConf.to_container(read_config(recipe).params)
        model = load_model(recipe, weights)
        unet, vae = params["unet_config"]["params"], params["first_stage_config"]["params"]["ddconfig"]
        self.person = diffusers_unet(
            UNet2DConditionModel, model.model.diffusion_model, unet, in_channels=unet["in_channels"]
        )
        self.garment = diffusers_unet(UNet2DConditionModel, model.garment_model, unet)
        self.tokens = []
        wrap_blocks(self.garment, RecordingBlock, self.tokens)
        wrap_blocks(self.person, JoiningBlock, self.tokens)
        self.vae, self.scale = diffusers_vae(model.first_stage_model, vae), model.scale_factor
        self.text_encoder = diffusers_text(model.cond_stage_model)
        self.tokenizer = model.cond_stage_model.tokenizer
        self.scheduler = DDPMScheduler(
            beta_schedule="scaled_linear",
            beta_start=params["linear_start"],
            beta_end=params["linear_end"],
            prediction_type={"eps": "epsilon", "v": "v_prediction"}[model.parameterization],
        )
        self.num_timesteps, self.device = len(self.scheduler), torch.device("cpu")
        for part in (self.vae, self.text_encoder):
            part.requires_grad_(False)

    def encode(self, pictures):
        return self.vae.encode(rearrange(pictures, "b h w c -> b c h w")).latent_dist

    def loss(self, batch, generator):
        """Of a batch of pictures, with "dropped" as TryonLDM.drop_conditions gives it."""
        with torch.no_grad():
            posterior = self.encode(batch["jpg"])
            latents = self.scale * (posterior.mean + posterior.std * draw_normal(posterior.mean, generator))
            agnostic, garment = (
                self.scale * self.encode(batch[key]).mode() for key in ("agnostic", "garment")
            )
            text = self.text_encoder(self.tokenizer(batch["txt"]))[0]
        garment = garment * ~batch["dropped"]["garment"][:, None, None, None]
        factor = batch["jpg"].shape[1] // latents.shape[2]
        mask = rearrange(batch["mask"][:, ::factor, ::factor], "b h w 1 -> b 1 h w")
        t = self.draw_timesteps(len(latents), generator)
        noise = draw_normal(latents, generator)
        self.garment(garment, torch.zeros_like(t), text)
        given = torch.cat([self.scheduler.add_noise(latents, noise, t), agnostic, mask], dim=1)
        predicted, target = self.person(given, t, text).sample, noise
        if self.scheduler.config.prediction_type == "v_prediction":
            target = self.scheduler.get_velocity(latents, noise, t)
        return nn.functional.mse_loss(predicted, target)


class PeerStep(Step):
    """A training step of the peer, with the calls of `bench_tryon.Step`."""

    def __init__(self, recipe, folder):
        out = folder / recipe.stem
        self.model = Peer(recipe, out / "ini.safetensors")
        self.batches = torch.load(out / "batches.pt", weights_only=True)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5)
        self.drop = load_model(recipe, out / "ini.safetensors").drop_conditions

    def __call__(self, source, seed):
        generator = torch.Generator().manual_seed(seed)
        self.model.loss(self.drop(self.batches["pictures"], generator), generator).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def build(way, folder):
    """A function seed -> one step of a way."""
    step = (PeerStep if way == WAYS[2] else Step)(RECIPE, Path(folder))
    source = "cached" if way == WAYS[0] else "pictures"
    return lambda seed: step(source, seed)


def measure_memory(way, folder) -> float:
    reset_peak("cpu")
    before, step = peak("cpu")["own"], build(way, folder)
    for seed in range(3):
        step(seed)
    return (peak("cpu")["own"] - before) * MIB


def measure_times(folder, rounds, clock) -> dict[str, list[float]]:
    from time import perf_counter, process_time

    now = dict(wall=perf_counter, cpu=process_time)[clock]
    steps, times = {way: build(way, folder) for way in WAYS}, {way: [] for way in WAYS}
    for turn in range(-1, rounds):  # the first is for warming up
        for way, step in steps.items():
            begun = now()
            step(turn + 1)
            if turn >= 0:
                times[way].append(now() - begun)
    return times


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=128, help="pixels a side (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    text = "wall seconds or the process's CPU seconds (default: %(default)s)"
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=text)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        print(measure_memory(*arguments.memory))
        return
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), arguments.size, arguments.batch_size)
        prepare(RECIPE, Path(folder))
        for way in WAYS:
            command = [sys.executable, __file__, "--memory", way, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            memory[way] = float(done.stdout.splitlines()[-1])
        times = measure_times(folder, arguments.rounds, arguments.clock)
    columns = "way", f"{arguments.clock} ms a step", "of diffusers'", "peak, MiB", "of diffusers'"
    print(f"| {' | '.join(columns)} |", f"{'|---' * len(columns)}|", sep="\n")
    for way, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, times[WAYS[2]], strict=True))
        share = memory[way] / memory[WAYS[2]]
        row = f"{1000 * statistics.median(spent):.0f} | {ratio:.2f} | {memory[way]:.0f} | {share:.2f}"
        print(f"| {way} | {row} |")


if __name__ == "__main__":
    main()
