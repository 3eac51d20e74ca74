"""tutorial_train.py, of whose processes the one of rank KILLED gets SIGKILL amid its third step.

KILLED=1 python tests/helpers/killed_rank.py KEY=VALUE ...
"""

import os
import signal

import small  # noqa: F401, for its prompt encoder, which yamls of tests name
from cldm.cldm import ControlLDM
from jobs.ranks import world
from tutorial_train import main


def training_step(self, batch, batch_idx, original=ControlLDM.training_step):
    if self.global_step == 2 and str(world()[0]) == os.environ["KILLED"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, batch, batch_idx)


if __name__ == "__main__":
    ControlLDM.training_step = training_step
    main()
