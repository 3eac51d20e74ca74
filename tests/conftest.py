"""Small models are fastest on one thread, and the number of threads is read when torch is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
