"""The files that a run can be resumed from, and those that others read."""

import os
import shutil
from pathlib import Path

import pytorch_lightning as pl

from cldm.alignment import ALIGNMENT
from jobs.ranks import say
from ldm.checkpoint import read_metadata
from learning.callbacks.stopping import RunStopped
from learning.callbacks.training_log import count_pictures
from learning.resuming import COMPUTED, MEASURED, RESTORED, SHARES, begin_next_epoch, keep_place
from learning.verified_files import write_weights
from reporting.tables import read_rows

# what makes a checkpoint the best so far: a number among the trainer's metrics, written into its metadata
CRITERIA = dict(control="control_miou", tryon="garment_detail")
TABLES = "control_miou", "garment_fidelity"  # whose newest rows go along, for a model card
# what a killed run leaves
UNFINISHED = ".*.ckpt* .control*.safetensors* .tryon*.safetensors* .full_step_*.safetensors*"


class Checkpoints(pl.Callback):
    """Every `checkpoint_every` steps, at the end, and where the run is told to stop, writes

    last.ckpt                       what the same command resumes from: trained weights, optimizer, position
    control.safetensors             the newest control branch alone, averaged if the run averages
    control_best.safetensors        that of the highest control mIoU so far
    control_step_000500...          every `keep_every` steps; full_checkpoints adds the whole model,
                                    full_step_000500..., there and at the end

    A try-on model's files are called tryon instead of control, and its best is that of the highest detail of
    garment fidelity.

    Each file is read back before it replaces the former one. Comes behind whoever measures: what decides on
    the best is taken from the trainer's metrics.
    """

    def __init__(self, run, options, metadata, stopping, facts=None):
        self.run, self.options, self.metadata, self.stopping = Path(run), options, metadata, stopping
        self.facts = facts or {}
        self.unfinished, self.best = self.run / ".last.ckpt", -1.0

    def on_train_start(self, trainer, pl_module):
        self.saved_step = self.seen_step = trainer.global_step
        epochs = trainer.fit_loop.epoch_progress.current
        if epochs.processed == epochs.started:
            # saved at an epoch's last step: Lightning would take the next epoch for the same one resumed, not
            # count it, and repeat its order when a run is resumed at the end of that one too
            trainer.fit_loop.reset_restart_stage()
        if trainer.is_global_zero:
            for pattern in UNFINISHED.split():
                for path in self.run.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if (best := self._find_best(pl_module)).exists():
                self.best = self._best_so_far(best, CRITERIA[pl_module.published], trainer.global_step)
            self._tell_of_little_room(pl_module)

    def _find_best(self, pl_module) -> Path:
        return self.run / f"{pl_module.published}_best.safetensors"

    def _best_so_far(self, best, criterion, step):
        """Its number; -1 where it is of a later step, which will be made again, maybe otherwise."""
        try:
            metadata = read_metadata(best)
            return float(metadata[criterion]) if int(metadata["step"]) <= step else -1.0
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{best} is damaged or another's: delete it, the next measurement writes it anew"
            ) from error

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, last_step = trainer.global_step, self.options.max_steps
        if step == self.seen_step:
            return  # a window of micro-batches is not over yet
        self.seen_step = step
        signum = self.stopping.asked() if step < last_step else 0
        if trainer.is_global_zero:
            self._publish_best(trainer, pl_module)
        if signum or step == last_step or self._is_due(self.options.checkpoint_every) or self._is_kept():
            self._save_state(trainer, pl_module)
            if step < last_step:
                self._publish(trainer, pl_module)
        if signum:
            raise RunStopped(signum, step)

    def on_train_end(self, trainer, pl_module):
        # the last state was saved before: here Lightning has counted an epoch that has just begun as over
        if self.saved_step == self.options.max_steps:
            self._publish(trainer, pl_module)

    def _is_due(self, every):
        return bool(every) and self.seen_step % every == 0

    def _is_kept(self):
        return self._is_due(self.options.keep_every)

    def _save_state(self, trainer, pl_module):
        self.saved_step = self.seen_step
        if not all(p.isfinite().all() for p in pl_module.parameters() if p.requires_grad):
            raise ValueError(
                f"the trained weights are no numbers any more at step {self.saved_step}, which is not saved: "
                f"give another run=FOLDER and a learning_rate under {self.options.learning_rate:g}"
            )
        trainer.save_checkpoint(self.unfinished, weights_only=False)

    def _publish(self, trainer, pl_module):
        """Write the weights, then make the state last.ckpt: a run killed in between does both anew."""
        if not trainer.is_global_zero:
            return
        stem = pl_module.published
        names = [f"{stem}.safetensors"]
        names += [f"{stem}_step_{self.saved_step:06}.safetensors"] if self._is_kept() else []
        self._write_control(trainer, pl_module, names)
        if self.options.full_checkpoints and (self._is_kept() or self.saved_step == self.options.max_steps):
            with pl_module.stages_present(), pl_module.averaged():
                path = self.run / f"full_step_{self.saved_step:06}.safetensors"
                state = pl_module.state_dict()
                state = {name: x for name, x in state.items() if not name.startswith(ALIGNMENT)}
                write_weights(state, path, self._told(trainer))
        os.replace(self.unfinished, self.run / "last.ckpt")

    def _publish_best(self, trainer, pl_module):
        criterion = CRITERIA[pl_module.published]
        value = float(trainer.callback_metrics.get(criterion, -1))
        if value > self.best:
            self.best = value
            told = {criterion: f"{value:.6f}"}
            self._write_control(trainer, pl_module, [self._find_best(pl_module).name], **told)

    def _write_control(self, trainer, pl_module, names, **told):
        with pl_module.averaged():
            trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
            state = pl_module.state_dict()
            state = {
                name: tensor
                for name, tensor in state.items()
                if (name.startswith("control_model.") or name in trained) and not name.startswith(ALIGNMENT)
            }
            for name in names:
                write_weights(state, self.run / name, self._told(trainer) | told)

    def _told(self, trainer) -> dict:
        pictures = count_pictures(trainer, self.options)
        told = dict(step=str(self.seen_step), pictures=str(pictures))
        takeover = self.run / "convergence.json"
        told |= dict(convergence=takeover.read_text()) if takeover.exists() else {}
        measured = {name: read_rows(self.run / f"{name}.csv") for name in TABLES}
        newest = {name: rows[-1] for name, rows in measured.items() if rows}
        told |= dict(measured=newest) if newest else {}
        return self.metadata | told

    def _tell_of_little_room(self, pl_module):
        """last.ckpt takes weights, moments and an average, two files weights; each while its former stays."""
        trained = sum(p.nbytes for p in pl_module.parameters() if p.requires_grad)
        needed, free = 2 * 6 * trained, shutil.disk_usage(self.run).free
        if free < needed:
            say(
                f"{self.run}: {free / 2**30:.1f} GiB of the disk are free, checkpoints may take "
                f"{needed / 2**30:.1f}: make room, or the run stops at one that does not fit"
            )

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        """Leave out the locked weights, which are in the base; add what a resumption minds."""
        names = *RESTORED, *COMPUTED, *MEASURED, *SHARES
        checkpoint["options"] = {name: getattr(self.options, name) for name in names}
        checkpoint["facts"], checkpoint["row"] = self.facts, self._row(trainer)
        trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if k in trained}

    def on_load_checkpoint(self, trainer, pl_module, checkpoint):
        """With as many pictures a step as before, the order goes on, however devices share them.

        With other steps, other data or another seed, of whose order the place in the epoch says nothing, the
        rest of the epoch is left out.
        """
        check_fit(checkpoint["state_dict"], pl_module, self.run, self.options.model)
        if "row" not in checkpoint:
            return  # an older version's
        row, row_before = self._row(trainer), checkpoint["row"]
        step = row * self.options.accumulate
        step_before = row_before * checkpoint["options"]["accumulate"]
        if step != step_before:
            say(f"a step takes {step} pictures, {step_before} before: the next epoch begins")
        elif self._is_reordered(checkpoint):
            say("other data, or another seed, than before: the next epoch begins")
        else:
            keep_place(checkpoint, row, row_before)
            return
        begin_next_epoch(checkpoint, row, row_before)

    def _is_reordered(self, checkpoint):
        data, data_before = (facts.get("data") for facts in (self.facts, checkpoint.get("facts", {})))
        other_data = data and data_before and data[0] != data_before[0]
        return other_data or checkpoint["options"]["seed"] != self.options.seed

    def _row(self, trainer) -> int:
        """Pictures of a micro-batch, on all devices."""
        return self.options.batch_size * trainer.world_size


def check_fit(state, model, run, config):
    """ValueError unless a run's last.ckpt holds the tensors that a model trains, in their shapes."""
    ours = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
    theirs = {name: tensor.shape for name, tensor in state.items()}
    if differing := sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    ):
        raise ValueError(
            f"{run / 'last.ckpt'} is of another model than {config}: they differ in {differing[0]} "
            f"({len(differing)} of {len(ours)} tensors): resume with the former, or give another run=FOLDER"
        )
