"""How a run stops when it is told to: with its step finished and saved, on all processes alike."""

import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from jobs.ranks import from_all, say, world


class RunStopped(Exception):
    """A run has been stopped by a signal, after its step was saved."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"stopped by {signal.Signals(signum).name} at step {step}, which is saved")
        self.signum = signum


@contextmanager
def explain_stops(run):
    """Around a run's training: says that it can be resumed, and exits as shells expect after a signal."""
    again = f"the same command resumes {run}"
    try:
        yield
    except RunStopped as stop:
        say(f"{stop}; {again}")
        raise SystemExit(128 + stop.signum) from stop
    except SystemExit as stop:  # Lightning's, 0 after SIGTERM and 1 after Ctrl-C
        if not isinstance(stop, SIGTERMException) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signum = signal.SIGTERM if isinstance(stop, SIGTERMException) else signal.SIGINT
        say(f"stopped by {signum.name}; {again} from its last checkpoint")
        raise SystemExit(128 + signum) from stop
    except Exception:
        again = f"{again} from its last checkpoint" if Path(run, "last.ckpt").exists() else "start it again"
        say(f"the run has failed; once the cause is mended, {again}")
        raise


class Stopping(pl.Callback):
    """Notes SIGTERM and Ctrl-C while a run trains; `asked` tells. A second Ctrl-C interrupts at once.

    Lightning's own handling of SIGTERM would end a run in the middle of a step.
    """

    def __init__(self):
        self.received, self.former = 0, {}

    def on_train_start(self, trainer, pl_module):
        if trainer.received_sigterm:
            self.received = int(signal.SIGTERM)
        if threading.current_thread() is threading.main_thread():  # Python allows it there alone
            for signum in (signal.SIGTERM, signal.SIGINT):
                self.former[signum] = signal.signal(signum, self._note)

    def _note(self, signum, frame):
        if signum == signal.SIGINT and self.received == signum:
            raise KeyboardInterrupt
        self.received = int(signum)
        once_more = "; Ctrl-C once more stops at once" if signum == signal.SIGINT else ""
        text = f"\n{signal.Signals(signum).name}: stopping after this step{once_more}\n"
        if world()[0] == 0:
            os.write(1, text.encode())  # print could be what the signal interrupts

    def asked(self) -> int:
        """The signal that any process has received, 0 if none; all must ask at the same place."""
        return max(from_all(self.received))

    def _restore(self, *_):
        for signum, handler in self.former.items():
            signal.signal(signum, handler)
        self.former = {}

    def on_train_end(self, trainer, pl_module):
        self._restore()

    def on_exception(self, trainer, pl_module, exception):
        self._restore()
