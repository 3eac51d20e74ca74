"""Autoencoder and text encoder, U-Net and controls: which of them are on the GPU at what time."""

STAGES = "first_stage_model", "cond_stage_model"


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
