"""The commands. Each is a frozen dataclass of settings, ``run(settings)`` and ``main()``.

They talk to each other only through run directories. ``imitate record`` runs one; in a checkout, where this folder
stands on the top floor, so does ``python -m pipelines record``.
"""

import os

# Threads of PyTorch that wait for work sleep, and leave their cores to the processes that simulate; but only after a
# moment, or each layer of a network would wait until they are awake again: updates of PPO took a third longer. OpenMP
# reads this when PyTorch is imported, which is after here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
