"""The commands. Each is a frozen dataclass of settings, ``run(settings)`` and ``main()``.

They talk to each other only through run directories, and are run from a checkout:
``python -m pipelines record``.
"""

import os

# Threads of PyTorch that wait for work sleep, and leave their cores to the processes that simulate. OpenMP reads this
# when PyTorch is imported, which is after here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
