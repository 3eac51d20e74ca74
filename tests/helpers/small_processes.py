"""Processes of a run, started as a person starts them."""

import os
import subprocess
import sys

from sources import ROOT

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TWO, THREE = ([*TORCHRUN, f"--nproc-per-node={num}"] for num in (2, 3))


def started(command, **environment):
    given = dict(PYTHONPATH=f"{ROOT}:{ROOT / 'tests' / 'helpers'}", OMP_NUM_THREADS="1") | environment
    options = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen([*map(str, command)], env=os.environ | given, **options)
