"""Kill a command at any moment, go on with it, and see whether anything is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from imitate.lock import LOCK
from imitate.runs import read_json

ROOT = Path(__file__).resolve().parents[1]
TIMES = ("frames_per_second", "env_steps_per_second", "seconds")  # of metrics and curves: no two runs have the same
NOT_COMPARED = ("config.json", "manifest.json", LOCK)  # versions; sums, also of the times
BESIDE = {"cache", "tensorboard"}  # no artefacts


def killed_and_gone_on_with(words: Sequence[str], moments: Iterable[float]) -> int:
    """Run a command, kill it, run it again, and so on; at last, let it come to its end.

    Args:
        words: The command and its arguments, such as ``["embed", "--run", "runs/a"]``.
        moments: When to kill it: s after it first prints something, such as its bar, or, below 0, after it starts.

    Returns:
        How often it was killed: less often than there are moments, if it was done before.

    Raises:
        RuntimeError: It ended with an error; the message holds what it printed.
    """
    kills = 0
    for moment in [*moments, None]:
        if not _killed(words, moment):
            break
        kills += 1
    return kills


def _killed(words: Sequence[str], moment: float | None) -> bool:
    """Run a command, and kill it at the moment. False if it came to its end before."""
    command = [sys.executable, "-m", "pipelines", *words]
    with TemporaryFile() as printed, subprocess.Popen(command, cwd=ROOT, stdout=printed, stderr=printed) as process:
        if moment is not None:
            while moment >= 0 and process.poll() is None and not printed.seek(0, 2):
                time.sleep(0.005)
            try:
                process.wait(abs(moment))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return True
        if process.wait():
            printed.seek(0)
            raise RuntimeError(f"{' '.join(words)}: exit code {process.returncode}: {printed.read().decode()[-4000:]}")
    return False


def differences(folder: Path, reference: Path) -> list[str]:
    """What of two finished stages, or runs, is not the same to the bit, but for measured times: names of files."""
    one, other = _files(folder), _files(reference)
    return sorted({*one} ^ {*other}) + [
        name for name in sorted({*one} & {*other}) if _content(one[name]) != _content(other[name])
    ]


def _files(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if path.name not in NOT_COMPARED and not BESIDE & {*name.parts}
    }


def _content(path: Path) -> Any:
    return _timeless(read_json(path)) if path.suffix == ".json" else path.read_bytes()


def _timeless(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _timeless(value) for key, value in data.items() if key not in TIMES}
    return [_timeless(item) for item in data] if isinstance(data, list) else data
