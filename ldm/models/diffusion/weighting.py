"""How much each timestep counts in the loss."""

import torch


def min_snr_weights(alphas_cumprod, gamma: float, parameterization: str):
    """Min-SNR-gamma (arXiv 2303.09556, section 3.4): a_t = alphas_cumprod (b,) in [0, 1) -> weights (b,).

    With SNR = a / (1 - a), the error of x_0 weighs min(SNR, gamma), of noise min(SNR, gamma) / SNR, of v
    min(SNR, gamma) / (SNR + 1). Written without SNR in a denominator, as that may be zero: at a = 0 an
    error of noise weighs 1, one of x_0 or v nothing.
    """
    a = alphas_cumprod
    if parameterization == "eps":
        return torch.clamp(gamma * (1 - a) / a, max=1.0)
    if parameterization == "v":
        return torch.minimum(a, gamma * (1 - a))
    return torch.clamp(a / (1 - a), max=gamma)
