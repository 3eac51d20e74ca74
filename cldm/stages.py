"""Autoencoder and text encoder only while they are wanted: training from a cache does without them."""

from contextlib import contextmanager

STAGES = "first_stage_model", "cond_stage_model"


class StagesOnDemand:
    """Gives a LatentDiffusion `stages_present()`, around whatever encodes or decodes.

    `load_stages`, set from outside, returns both modules by name; it is called only if the model has neither,
    and they are dropped again afterwards.
    """

    load_stages = None

    @contextmanager
    def stages_present(self):
        if self.first_stage_model is not None:
            yield
            return
        stages = self.load_stages()
        try:
            for name in STAGES:
                setattr(self, name, stages[name].to(self.device))
            yield
        finally:
            self.leave_out_stages()

    def leave_out_stages(self):
        for name in STAGES:
            setattr(self, name, None)
