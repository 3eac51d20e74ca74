"""What the demo's page asks of the model: finding one, its defaults, and pictures for a request."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch

from cldm.generate import Settings, generate
from cldm.graft import CONTROL, STEM, default_files, graft, recognise, refuse_other_files
from cldm.hint import HintEncoder
from cldm.model import create_model, load_model
from cldm.painting import painted_map, working_map
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict

A_PROMPT = "best quality, extremely detailed"
N_PROMPT = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, "
    "worst quality, low quality"
)


@dataclass
class Demo:
    """A model that is ready to draw, the regions it knows, and where it comes from."""

    model: torch.nn.Module
    encoder: HintEncoder
    source: str

    @property
    def native_size(self) -> int:
        """Side in pixels of the pictures that the model was trained on."""
        return 8 * self.model.image_size

    @property
    def control_is_trained(self) -> bool:
        """Whether any zero convolution has moved away from zero."""
        control = self.model.control_model
        return any(
            p.any() for part in (control.zero_convs, control.middle_block_out) for p in part.parameters()
        )

    def defaults(self) -> dict:
        """The page's starting values: the original's for Stable Diffusion, others for the tiny model."""
        if self.native_size < 256:
            return dict(a_prompt="", n_prompt="", num_samples=3, scale=4.0)
        return dict(a_prompt=A_PROMPT, n_prompt=N_PROMPT, num_samples=1, scale=9.0)

    def notes(self) -> list[str]:
        """What a user should know about this model, a sentence or two each."""
        notes = [f"Model: {self.source}."]
        if self.native_size < 256:
            size = self.native_size
            notes.append(
                f"This is the tiny model, it draws paper dolls of {size} × {size} pixels; "
                "models/README.md says how to get photographs."
            )
        if not self.control_is_trained:
            notes.append(
                "**Its control is untrained, so pictures do not follow the map yet:** "
                "run `python tutorial_train.py`, then start this page again."
            )
        return notes

    def request(self, input_image, prompts, image_resolution, seed, options, progress=None):
        """A request of the page -> [(region map, its caption), (picture, its seed), ...], all uint8 (H, W, 3).

        Args:
            input_image: value of an image editor, see `painted_map`.
            prompts: (prompt, what is added to it, negative prompt).
            seed: -1 takes a random one.
            options: the other fields of Settings by name.
            progress: called with (step, steps).
        """
        ids = working_map(painted_map(input_image, self.encoder), image_resolution)
        seed = random.randint(0, 65535) if seed == -1 else seed
        settings = Settings(joined(*prompts[:2]), joined(prompts[2]), seed=seed, **options)

        def report(step):
            progress((step["i"] + 1, settings.steps))

        try:
            hint = self.encoder.to_hint(ids)
            pictures = generate(self.model, hint, settings, callback=report if progress else None)
        except torch.OutOfMemoryError as error:
            raise ValueError("Out of memory: ask for fewer pictures or a lower resolution.") from error
        captions = [f"seed {seed + i}" for i in range(len(pictures))]
        return [(self.encoder.to_rgb(ids), "region map"), *zip(pictures, captions, strict=True)]


def joined(*prompts: str | None) -> str:
    """Prompts as one, without the empty ones."""
    return ", ".join(prompt.strip() for prompt in prompts if prompt and prompt.strip())


def pick_device(name: str) -> str:
    """`auto` -> the best device there is."""
    if name != "auto":
        return name
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found else "cpu"


def newest_checkpoint(runs="runs") -> Path | None:
    """The newest weights that training has left in the folders of `runs`."""
    found = [path for name in ("control", "full_step_*") for path in Path(runs).glob(f"*/{name}.safetensors")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def load_for_demo(checkpoint, config, regions: HintEncoder, device: str) -> Demo:
    """A Demo of a whole model, of a control branch on its base, or of a base with an untrained branch.

    Args:
        checkpoint: None takes the newest training result, else Stable Diffusion 1.5 or the tiny base.
        config: yaml of the model; None takes the one that the checkpoint names, else its family's.
        regions: what a map's colours mean where the checkpoint does not say it.
    """
    checkpoint = checkpoint or newest_checkpoint() or default_files()[0]
    metadata = read_metadata(checkpoint)
    trained = {**metadata.get("options", {}), **metadata}
    state, source = read_state_dict(checkpoint), str(checkpoint)
    overlay, base = {}, checkpoint
    if STEM not in state and any(name.startswith(CONTROL) for name in state):
        base = trained.get("base") or default_files()[0]
        overlay, state, source = state, _read_base(base, checkpoint), f"{checkpoint} on {base}"
    config = config or trained.get("config") or trained.get("model")
    model = _assemble(state, base, config)
    _lay_over(model, overlay, checkpoint)
    hint = metadata.get("hint")
    encoder = HintEncoder.from_metadata(hint) if isinstance(hint, dict) else regions
    return Demo(model.float().to(device).eval(), encoder, source)


def _read_base(base, checkpoint):
    try:
        return read_state_dict(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{checkpoint} was trained on {base}, which does not exist: put it back"
        ) from error


def _assemble(state, path, config):
    """The model of a state dict with a U-Net, grafted first where it has no control branch."""
    grafted = any(name.startswith(CONTROL) for name in state)
    if not grafted:
        refuse_other_files(state, path)
    config = config or recognise(state, path)[1]
    if grafted:
        return load_model(config, path)
    with torch.device("meta"):
        model = create_model(config)
    model.load_state_dict(graft(state, config, path)[0], assign=True)
    return model


def _lay_over(model, overlay, path):
    """Put trained tensors, by name, over those of the model."""
    ours = model.state_dict()
    for name, tensor in overlay.items():
        if name not in ours or ours[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path} does not fit its base: {name} {list(tensor.shape)} has no place in it"
            )
    model.load_state_dict(overlay, strict=False, assign=True)
