"""SIGKILL at any moment: a stage that is started again must end as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import benchmark_follow, benchmark_imitation
from ..shared.cli import changed, words
from .outcome import differences
from .subject import EMBED, IMITATE, RECORD, Subject

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

POLL = 0.02  # s
IN_A_ROW = 4  # kills, at most, before the stage may end
EARLIER = 0.8  # of the time after which the stage had ended before it was killed


@dataclass(frozen=True)
class Victim:
    """A stage that is killed.

    Attributes:
        module: That Python runs.
        settings: Of its command line; ``run`` is another each time.
    """

    module: tuple[str, ...]
    settings: DataclassInstance


VICTIMS = {  # in the order in which they need each other
    "record": Victim(("imitate.pipelines", "record"), replace(RECORD, train=120, frames=8, workers=2)),
    "embed": Victim(("imitate.pipelines", "embed"), replace(EMBED, epochs=300, videos=4)),
    "imitate": Victim(("imitate.pipelines", "imitate"), replace(IMITATE, steps=1024, practice=2048)),
    "benchmark_follow": Victim(("imitate.pipelines.torturing.small_follow",), benchmark_follow.Settings(jobs=2)),
    "benchmark_imitation": Victim(
        ("imitate.pipelines.torturing.small_benchmark",), benchmark_imitation.Settings(jobs=2)
    ),
}


def kills(subject: Subject) -> dict[str, Any]:
    """Kill each stage at random times of its run, and compare what it ends with to what it makes undisturbed."""
    rng = subject.random("kills")
    whole = subject.folder / "undisturbed"
    stages: dict[str, dict[str, Any]] = {}
    found: dict[str, None] = {}  # what differs, each file once
    wanted = subject.stages or tuple(VICTIMS)
    last = max(map(list(VICTIMS).index, wanted))
    for name, victim in list(VICTIMS.items())[: last + 1]:
        if name not in wanted:  # what the others need
            _undisturbed(victim, whole)
            continue
        before = subject.folder / f"before-{name}"
        if whole.exists():
            shutil.copytree(whole, before)
        else:
            before.mkdir()
        begun, seconds = _undisturbed(victim, whole)
        figures: dict[str, Any] = {"kills": 0, "runs": 0, "differences": 0}
        figures |= {"begun": begun, "seconds": seconds}
        while figures["kills"] < subject.kills:
            run = subject.folder / f"killed-{name}"
            shutil.copytree(before, run)
            times = min(int(rng.integers(1, IN_A_ROW + 1)), subject.kills - figures["kills"])
            killed = _killed(victim, run, times, (begun, seconds), rng)
            if not killed:  # the machine was busier while it ran undisturbed: such times may never come again
                begun, seconds = EARLIER * begun, EARLIER * seconds
            figures["kills"] += killed
            different = differences(run, whole)
            figures["runs"] += 1
            figures["differences"] += bool(different)
            found |= dict.fromkeys(f"{name}: {file}" for file in different)
            shutil.rmtree(run)
        shutil.rmtree(before)
        stages[name] = figures
        print(
            f"  {name}: {figures['kills']} kills, {figures['differences']} of {figures['runs']} runs differ", flush=True
        )
    return totals(stages) | {"different": list(found)}


def totals(stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures of all stages together, and of each."""
    return {key: sum(of[key] for of in stages.values()) for key in ("kills", "differences")} | {"stages": stages}


def _undisturbed(victim: Victim, run: Path) -> tuple[float, float]:
    """Run a stage to its end, and say when it writes the first file, and when it ends, s."""
    before = set(run.rglob("*"))
    start = monotonic()
    process = _started(victim, run)
    try:
        while process.poll() is None and not set(run.rglob("*")) - before:
            sleep(POLL)
        begun = monotonic() - start
        _end(victim, process, run)
    finally:
        _sweep(process)
    return begun, monotonic() - start


def _killed(victim: Victim, run: Path, times: int, within: tuple[float, float], rng: np.random.Generator) -> int:
    """Kill a stage so many times, each at some time of its work, s, then let it end. How many kills it took."""
    started: list[subprocess.Popen] = []
    try:
        for kills in range(times + 1):
            process = _started(victim, run)
            started.append(process)
            if kills < times:
                sleep(rng.uniform(*within))
            if kills == times or process.poll() is not None:  # the latter was faster this time: nothing was killed
                break
            if rng.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)  # with all its processes, as at the end of a machine
            else:
                process.kill()  # alone, as where memory runs out: what it leaves behind is to end by itself
            process.wait()
        _end(victim, process, run)
        return kills
    finally:
        for process in started:
            _sweep(process)


def _started(victim: Victim, run: Path) -> subprocess.Popen:
    """A stage, in a group of processes of its own. To be swept."""
    command = [sys.executable, "-m", *victim.module, "--run", str(run), *words(changed(victim.settings))]
    with (run.parent / "said").open("wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)


def _sweep(process: subprocess.Popen) -> None:
    """End what is left of a stage's processes."""
    with suppress(ProcessLookupError):  # none is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end(victim: Victim, process: subprocess.Popen, run: Path) -> None:
    if process.wait():
        said = (run.parent / "said").read_text(errors="replace").strip()
        raise RuntimeError(f"{' '.join(victim.module)} ended with exit code {process.returncode}: {said[-2000:]}")
