"""The average of the trained weights over the steps, and how a model computes with it for a while."""

from contextlib import contextmanager

import torch


class WeightAverage:
    """Exponential moving average, in fp32, of those weights of a model that train.

    The first updates count more, so that the average forgets the weights of the start: update n = 1, 2, ...
    keeps min(decay, (1 + n) / (10 + n)) of what was, as latent diffusion's LitEma does.
    """

    def __init__(self, model, decay: float):
        self.decay, self.updates = decay, 0
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        # like the parameters in layout, so that both compute alike
        self.shadow = [p.detach().float().clone() for p in self.parameters]
        self.in_use = False

    @torch.no_grad()
    def update(self):
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.shadow, [p.float() for p in self.parameters], 1 - kept)

    @contextmanager
    def swapped_in(self):
        """The model has the average for its weights; what it had comes back, to the bit."""
        if self.in_use:
            yield
            return
        trained, self.in_use = [p.data for p in self.parameters], True
        try:
            for parameter, mean in zip(self.parameters, self.shadow, strict=True):
                parameter.data = mean.to(parameter.dtype)
            yield
        finally:
            for parameter, data in zip(self.parameters, trained, strict=True):
                parameter.data = data
            self.in_use = False

    def state_dict(self):
        return dict(updates=self.updates, shadow=dict(zip(self.names, self.shadow, strict=True)))

    def load_state_dict(self, state):
        if state["shadow"].keys() != {*self.names}:
            raise ValueError("the run's average is of other weights than those that train now")
        self.updates = state["updates"]
        for name, mean in zip(self.names, self.shadow, strict=True):
            mean.copy_(state["shadow"][name])
