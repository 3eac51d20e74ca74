"""The noise schedule: the forward process, and what a network's output says about noise and clean latents."""

import numpy as np
import torch

from ldm.modules.diffusionmodules.util import extract_into_tensor


def rescale_zero_terminal_snr(betas):
    """Noise variances (T,) -> variances whose last timestep is pure noise (arXiv 2305.08891, algorithm 1).

    sqrt(alphas_cumprod) is shifted to end at 0 and stretched to begin where it began.
    """
    roots = np.sqrt(np.cumprod(1.0 - betas))
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    alphas_cumprod = roots**2
    return 1.0 - alphas_cumprod / np.append(1.0, alphas_cumprod[:-1])


class NoiseSchedule:
    """Gives a module the buffers of a schedule, under the checkpoints' names, and the algebra on them.

    x (b, c, h, w) are latents, t (b,) timesteps; its network predicts what `parameterization` says.
    """

    @np.errstate(divide="ignore")  # pure noise has no logarithm and no inverse, and nobody asks for them
    def register_schedule(self, betas):
        """Buffers (T,) fp32 of the forward process and its posterior (arXiv 2006.11239, equations 4, 7)."""
        alphas_cumprod = np.cumprod(1.0 - betas)
        prev = np.append(1.0, alphas_cumprod[:-1])
        variance = betas * (1.0 - prev) / (1.0 - alphas_cumprod)
        self.num_timesteps = len(betas)
        buffers = dict(
            betas=betas,
            alphas_cumprod=alphas_cumprod,
            alphas_cumprod_prev=prev,
            sqrt_alphas_cumprod=np.sqrt(alphas_cumprod),
            sqrt_one_minus_alphas_cumprod=np.sqrt(1.0 - alphas_cumprod),
            log_one_minus_alphas_cumprod=np.log(1.0 - alphas_cumprod),
            sqrt_recip_alphas_cumprod=np.sqrt(1.0 / alphas_cumprod),
            sqrt_recipm1_alphas_cumprod=np.sqrt(1.0 / alphas_cumprod - 1),
            posterior_variance=variance,
            posterior_log_variance_clipped=np.log(np.maximum(variance, 1e-20)),
            posterior_mean_coef1=betas * np.sqrt(prev) / (1.0 - alphas_cumprod),
            posterior_mean_coef2=(1.0 - prev) * np.sqrt(1.0 - betas) / (1.0 - alphas_cumprod),
            logvar=np.zeros_like(betas),
        )
        for name, values in buffers.items():
            # on the CPU even while weights are built on the meta device: files of old leave some of them out
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32, device="cpu"))

    def use_zero_terminal_snr(self):
        """Let the noise schedule end in pure noise, so that pictures may be dark or bright as a whole.

        For training; weights that were trained without it do not know its last timesteps. Twice is once.
        """
        if self.parameterization == "eps":
            raise ValueError(
                'zero terminal SNR needs parameterization "v" or "x0", got "eps": where all is noise, its '
                "prediction says nothing of the picture"
            )
        if self.has_zero_terminal_snr:
            return
        device = self.betas.device
        self.register_schedule(rescale_zero_terminal_snr(self.betas.cpu().double().numpy()))
        for name, buffer in [*self.named_buffers(recurse=False)]:
            setattr(self, name, buffer.to(device))

    @property
    def has_zero_terminal_snr(self) -> bool:
        return self.alphas_cumprod[-1].item() == 0

    @property
    def timestep_spacing(self) -> str:
        """How sampling chooses its timesteps: from the last one, if only that one is pure noise."""
        return "trailing" if self.has_zero_terminal_snr else "uniform"

    def q_sample(self, x_start, t, noise):
        """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise (arXiv 2006.11239, equation 4)."""
        a, b = self._coefficients(t, x_start)
        return a * x_start + b * noise

    def get_v(self, x, noise, t):
        """v = sqrt(a_t) noise - sqrt(1 - a_t) x_0 (arXiv 2202.00512)."""
        a, b = self._coefficients(t, x)
        return a * noise - b * x

    def predict_start_from_noise(self, x_t, t, noise):
        recip, recipm1 = (
            extract_into_tensor(buffer, t, x_t.shape)
            for buffer in (self.sqrt_recip_alphas_cumprod, self.sqrt_recipm1_alphas_cumprod)
        )
        return recip * x_t - recipm1 * noise

    def predict_start_from_z_and_v(self, x_t, t, v):
        a, b = self._coefficients(t, x_t)
        return a * x_t - b * v

    def predict_eps_from_z_and_v(self, x_t, t, v):
        a, b = self._coefficients(t, x_t)
        return a * v + b * x_t

    def _coefficients(self, t, x):
        return (
            extract_into_tensor(buffer, t, x.shape)
            for buffer in (self.sqrt_alphas_cumprod, self.sqrt_one_minus_alphas_cumprod)
        )

    def predictions(self, x_t, t, output):
        """The U-Net's output -> (noise, x_0) that it stands for under this parameterization."""
        if self.parameterization == "v":
            noise = self.predict_eps_from_z_and_v(x_t, t, output)
            return noise, self.predict_start_from_z_and_v(x_t, t, output)
        if self.parameterization == "eps":
            return output, self.predict_start_from_noise(x_t, t, output)
        a, b = self._coefficients(t, x_t)
        return (x_t - a * output) / b, output
