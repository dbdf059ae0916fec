"""What a stage made, as far as it must be the same whenever it is made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..shared.results import read_csv
from .files import names_below

# Logs; the sums of all other files, among them of times; figures with an axis of seconds.
LEFT_OUT = frozenset({"tensorboard", "manifest.json", "learning.png", "imitation.png"})


def outcome(folder: Path) -> dict[str, str]:
    """A digest of each file below a finished stage, or a run of such, by its name there."""
    names = [name for name in names_below(folder) if not LEFT_OUT & set(Path(name).parts)]
    return {name: _digest(folder / name, folder) for name in names}


def differences(folder: Path, reference: Path) -> list[str]:
    """The names of the files that are not the same in two of them, or only in one."""
    found, expected = outcome(folder), outcome(reference)
    names = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
    return sorted(name for name in names if not _same_bytes(folder / name, reference / name))


def _same_bytes(one: Path, other: Path) -> bool:
    """Whether it is one file, copied with where it was made in it: both were begun from the same folder."""
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()


def _digest(path: Path, run: Path) -> str:
    content = path.read_bytes()
    if path.suffix in (".json", ".csv"):
        data = json.loads(content) if path.suffix == ".json" else read_csv(path)
        text = json.dumps(_timeless(data), sort_keys=True)
        content = text.replace(str(run), "RUN").encode()  # where it is made is told in a benchmark's command
    return hashlib.sha256(content).hexdigest()


def _timeless(data: Any) -> Any:
    """JSON without what was measured by the clock."""
    if isinstance(data, dict):
        return {k: _timeless(v) for k, v in data.items() if not k.endswith(("seconds", "_per_second"))}
    return [_timeless(value) for value in data] if isinstance(data, list) else data
