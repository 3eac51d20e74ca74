"""Muon: an optimizer for matrices and kernels, whose steps turn all directions alike."""

import torch

COEFFICIENTS = 3.4445, -4.7750, 2.0315


def orthogonalize(matrix, steps: int = 5):
    """The nearest matrix with singular values of about 1, (rows, columns), in float32.

    By Newton-Schulz's iteration of a polynomial of fifth degree, with the coefficients of K. Jordan's "Muon:
    an optimizer for hidden layers" (2024): they end between 0.7 and 1.2, soon, and not at 1.
    """
    a, b, c = COEFFICIENTS
    x = matrix.float() / (matrix.float().norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `matrices=True`, AdamW (arXiv 1711.05101) for all others.

    A kernel (out, in, h, w) is a matrix (out, in h w). Its step is the orthogonalized Nesterov momentum times
    lr 0.2 sqrt(the longer side), which has the size of AdamW's steps (arXiv 2502.16982, equation 4), so that
    AdamW's learning rates and weight decays are right here, too. It keeps one number for each weight of a
    matrix, where AdamW keeps two.

    Args:
        params: of torch.optim.
        betas, eps: of AdamW.
        momentum: of Muon.
    """

    def __init__(
        self, params, lr: float = 1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, momentum=0.95
    ):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum=momentum)
        super().__init__(params, defaults | dict(matrices=False))

    @torch.no_grad()
    def step(self, closure=None):
        """One step; `closure` as for torch.optim."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._turn if group["matrices"] else self._adapt
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update(parameter, self.state[parameter], group)
        return loss

    def _turn(self, parameter, state, group):
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
        ahead = parameter.grad.lerp(state["momentum"], group["momentum"]).flatten(1)
        size = 0.2 * max(ahead.shape) ** 0.5
        parameter.add_(orthogonalize(ahead).view_as(parameter), alpha=-group["lr"] * size)

    def _adapt(self, parameter, state, group):
        if not state:
            state |= dict(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(parameter.grad, 1 - first)
        state["square"].mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
        spread = (state["square"] / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first ** state["step"]))
