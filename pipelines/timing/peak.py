"""The peak memory of a process that is started for it, and of all that it starts.

Every 50 ms the sum of what Linux calls ``RssAnon`` and ``RssShmem``, and of all sums the highest: what the processes
hold by themselves, and what they share, which is counted for each. Files that are mapped into memory, as the decoded
frames are, do not count: the system takes such pages back whenever others need them.

``getrusage`` would not do: its ``RUSAGE_CHILDREN`` is the largest child's peak rather than their sum, the peaks of
different processes are of different moments, a process that was just started inherits its parent's, and mapped files
count in full.

Imports no command: what is imported here counts as the stage's.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from time import sleep
from typing import Any

from imitate.errors import UserError

INTERVAL = 0.05  # s
PROC = Path("/proc")


def check() -> None:
    """Refuse a system where memory can't be measured.

    Raises:
        UserError: It is not Linux.
    """
    if not (PROC / "self/status").is_file():
        raise UserError("memory is measured on Linux only: choose other rows with --only")


def peak(work: Callable[..., object], *args: object) -> float:
    """The most memory, MB, that a fresh process and those that it starts hold while it does ``work(*args)``."""
    process = get_context("spawn").Process(target=work, args=args)
    process.start()
    highest = 0
    while process.is_alive():
        highest = max(highest, sum(map(held, family(process.pid or 0))))
        process.join(INTERVAL)
    if process.exitcode:
        raise RuntimeError(f"the process whose memory was measured ended with exit code {process.exitcode}")
    return highest * 1024 / 1e6


def run_command(name: str, settings: Any) -> None:
    """Run a command without what it prints."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        import_module(f"imitate.pipelines.{name}").run(settings)


def import_command(name: str) -> None:
    """Only import a command."""
    import_module(f"imitate.pipelines.{name}")
    sleep(2 * INTERVAL)  # to be seen


def held(pid: int) -> int:
    """RssAnon and RssShmem of a process, KiB."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def processes() -> dict[int, list[str]]:
    """All that run: what stands in ``/proc/PID/stat`` from the state on: parent, group, session and so on."""
    found = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
    return found


def family(pid: int) -> list[int]:
    """A process, those that it started, those that they started, and so on."""
    parents = {one: int(facts[1]) for one, facts in processes().items()}
    found = [pid]
    for member in found:  # grows on the way
        found += [child for child, parent in parents.items() if parent == member]
    return found
