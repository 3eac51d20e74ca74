"""The files that a run can be resumed from, and those that others read."""

import os
from pathlib import Path

import pytorch_lightning as pl

from ldm.checkpoint import write_state_dict


class Checkpoints(pl.Callback):
    """Every `checkpoint_every` steps, and at the end, writes

    last.ckpt                    what the same command resumes from: trained weights, optimizer, position
    control.safetensors          the newest control branch alone, with its metadata
    control_step_000500...       the same at its step; full_checkpoints adds the whole model, full_step_...
    """

    def __init__(self, run, options, metadata):
        self.run, self.options, self.metadata = Path(run), options, metadata
        self.unfinished = self.run / ".last.ckpt.part"

    def on_train_start(self, trainer, pl_module):
        self.saved_step = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, last_step = trainer.global_step, self.options.max_steps
        if step != self.saved_step and (step % self.options.checkpoint_every == 0 or step == last_step):
            self.saved_step = step
            self._save_state(trainer, pl_module)
            if step < last_step:
                self._publish(trainer, pl_module)

    def on_train_end(self, trainer, pl_module):
        # the last state was saved before: here Lightning has counted an epoch that has just begun as over
        self._publish(trainer, pl_module)

    def _save_state(self, trainer, pl_module):
        if not all(p.isfinite().all() for p in pl_module.parameters() if p.requires_grad):
            raise ValueError(
                f"the trained weights are no numbers any more at step {self.saved_step}, which is not saved: "
                f"give another run=FOLDER and a learning_rate under {self.options.learning_rate:g}"
            )
        # not in place: Lightning moves it here from the system's temporary folder, maybe another disk
        trainer.save_checkpoint(self.unfinished, weights_only=False)

    def _publish(self, trainer, pl_module):
        """Write the weights, then make the state last.ckpt: a run killed in between does both anew."""
        if not trainer.is_global_zero:
            return
        state, step = pl_module.state_dict(), f"{self.saved_step:06}"
        trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        control = {k: v for k, v in state.items() if k.startswith("control_model.") or k in trained}
        metadata = {**self.metadata, "step": str(self.saved_step)}
        for name in (f"control_step_{step}.safetensors", "control.safetensors"):
            write_state_dict(control, self.run / name, metadata, overwrite=True)
        if self.options.full_checkpoints:
            with pl_module.stages_present():
                whole = pl_module.state_dict()
                write_state_dict(whole, self.run / f"full_step_{step}.safetensors", metadata, overwrite=True)
        os.replace(self.unfinished, self.run / "last.ckpt")

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        """Leave the locked weights out of what Lightning saves: they are in the base."""
        trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if k in trained}
