"""Autoencoder and text encoder only while they are wanted: training from a cache does without."""

from contextlib import contextmanager

STAGES = "first_stage_model", "cond_stage_model"


class StagesOnDemand:
    """Gives a LatentDiffusion `stages_present()`, around whatever encodes or decodes.

    `load_stages`, set from outside, returns both modules by name; it is called only if the model lacks one,
    and what it lacked is dropped again afterwards.
    """

    load_stages = None

    @contextmanager
    def stages_present(self):
        lacking = [name for name in STAGES if getattr(self, name) is None]
        stages = self.load_stages() if lacking else {}
        try:
            for name in lacking:
                setattr(self, name, stages[name].to(self.device))
            yield
        finally:
            self.leave_out_stages(lacking)

    def leave_out_stages(self, names=STAGES):
        for name in names:
            setattr(self, name, None)
