"""What a stage made, as far as it must be the same whenever it is made."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

# Caches and logs; the sums of all other files, among them of times; figures with an axis of seconds.
LEFT_OUT = frozenset({"cache", "tensorboard", "manifest.json", "learning.png", "imitation.png"})


def outcome(run: Path, made: str) -> dict[str, str]:
    """A digest of each file below the folders of a run that ``made``, a pattern, stands for."""
    files = sorted(path for folder in run.glob(made) for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(run): path for path in files}
    return {name.as_posix(): _digest(path, run) for name, path in names.items() if not LEFT_OUT & set(name.parts)}


def _digest(path: Path, run: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        text = json.dumps(_timeless(json.loads(content)), sort_keys=True)
        content = text.replace(str(run), "RUN").encode()  # where it is made is told in a benchmark's command
    if path.suffix == ".zip":
        content = b"".join(_tensors(path))
    return hashlib.sha256(content).hexdigest()


def _timeless(data: Any) -> Any:
    """JSON without what was measured by the clock."""
    if isinstance(data, dict):
        return {k: _timeless(v) for k, v in data.items() if k != "seconds" and not k.endswith("_per_second")}
    return [_timeless(value) for value in data] if isinstance(data, list) else data


def _tensors(path: Path) -> Iterator[bytes]:
    """What a policy's zip holds, without the dates and the pickles in it."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".pth"):
                yield name.encode()
                yield from _flat(torch.load(io.BytesIO(archive.read(name)), weights_only=True))


def _flat(data: Any) -> Iterator[bytes]:
    if isinstance(data, torch.Tensor):
        yield data.cpu().contiguous().numpy().tobytes()
    elif isinstance(data, dict):
        for key, value in data.items():
            yield repr(key).encode()
            yield from _flat(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _flat(value)
    else:
        yield repr(data).encode()
