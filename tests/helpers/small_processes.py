"""Processes of a run, started as a person starts them."""

import os
import subprocess
import sys

from sources import ROOT

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def started(command, **environment):
    given = dict(PYTHONPATH=f"{ROOT}:{ROOT / 'tests' / 'helpers'}", OMP_NUM_THREADS="1") | environment
    options = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen([*map(str, command)], env=os.environ | given, **options)
