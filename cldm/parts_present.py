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


class AllThere:
    """Nothing moves: the fastest, where there is memory for everything."""

    def encoding(self):
        """Before prompts and photos are encoded."""

    def sampling(self):
        """Before hints are encoded and latents sampled."""

    def decoding(self):
        """Before latents are decoded."""


class OneStage(AllThere):
    """Text encoder and autoencoder wait on the CPU while U-Net and controls sample, and those otherwise.

    branches: networks of further controls beside the model's own. On the CPU nothing moves.
    """

    def __init__(self, model, branches=()):
        self.model, self.branches = model, [branch for branch in branches if branch is not None]

    def encoding(self):
        for branch in self.branches:
            branch.to("cpu")
        self.model.low_vram_shift(is_diffusing=False)

    def sampling(self):
        self.model.low_vram_shift(is_diffusing=True)
        for branch in self.branches:
            branch.to(self.model.device)

    decoding = encoding
