"""What a long computation goes on with when it was interrupted: one safetensors file, nothing in which is ever run."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from imitate.errors import UserError, first_line
from imitate.keeping.runs import written_aside

SHARE = 0.002  # of the time, at most, that writing snapshots takes


@dataclass(frozen=True)
class Snapshot:
    """A copy of a tree of dicts, lists, tuples, tensors, arrays and plain values, which goes on changing meanwhile.

    Attributes:
        tree: The same as JSON, with the names of tensors in their places.
        tensors: By name.
    """

    tree: str
    tensors: dict[str, torch.Tensor]

    @classmethod
    def of(cls, tree: Any) -> Snapshot:
        """Copy a tree. Keys may be of any plain type; a tensor keeps the order in which it lies in memory."""
        tensors: dict[str, torch.Tensor] = {}
        return cls(json.dumps(_packed(tree, tensors)), tensors)

    def unpacked(self) -> Any:
        """The tree, of tensors of its own."""
        return _unpacked(json.loads(self.tree), self.tensors)

    def digest(self) -> str:
        """Hexadecimal sha256 of all that it holds."""
        digest = hashlib.sha256(self.tree.encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        return {"dict": [[_packed(part, tensors) for part in item] for item in value.items()]}
    if isinstance(value, list):
        return [_packed(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, tensors) for item in value]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": _packed(torch.from_numpy(value), tensors)}
    if not isinstance(value, torch.Tensor):
        return value
    name = str(len(tensors))
    tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return {"tensor": name, "strides": value.stride()}


def _unpacked(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    if isinstance(value, str):
        return sys.intern(value)  # as names in a program are: pickle writes one object once, and two equal ones twice
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return dict(_unpacked(item, tensors) for item in value["dict"])
    if "tuple" in value:
        return tuple(_unpacked(item, tensors) for item in value["tuple"])
    if "array" in value:
        return _unpacked(value["array"], tensors).numpy()
    tensor = tensors[value["tensor"]]
    return torch.empty_strided(tensor.shape, value["strides"], dtype=tensor.dtype).copy_(tensor)


class Snapshots:
    """The last snapshot of a computation, in a file.

    Args:
        path: Of the file.
        of: What is computed, and on what device: half of it on one and half on another would be of neither.
    """

    def __init__(self, path: Path, of: str = "") -> None:
        self.path = path
        self.of = of
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether one more keeps to ``SHARE``. The first always does."""
        return perf_counter() >= self._next

    def write(self, make: Callable[[], Snapshot]) -> None:
        """Put a snapshot into the place of the one before, whole or not at all."""
        start = perf_counter()
        snapshot = make()
        facts = {"of": self.of, "tree": snapshot.tree, "sha256": snapshot.digest()}
        with written_aside(self.path) as aside:
            aside.write_bytes(save(snapshot.tensors, facts))
        end = perf_counter()
        self._next = end + (end - start) / SHARE

    def read(self) -> Any:
        """The tree of the last snapshot; None if there is none.

        Raises:
            UserError: It is damaged, or of another computation.
        """
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                facts = file.metadata()
                snapshot = Snapshot(facts["tree"], {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            if snapshot.digest() != facts["sha256"]:
                raise ValueError("another checksum than it was written with")
            tree, of = snapshot.unpacked(), facts["of"]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.path}: damaged ({first_line(error)}): delete it to start this stage over") from None
        if of != self.of:
            raise UserError(
                f"{self.path}: what it was begun with was made anew since, or this is another device: delete it to "
                "start this stage over"
            )
        return tree


def random_states() -> dict[str, Any]:
    """The states of all generators that belong to no object: Python's, NumPy's and PyTorch's."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002, stable-baselines3 draws from it
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Let all generators go on as they were."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    for index, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, index)
