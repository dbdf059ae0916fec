"""Batches of what environments observe and tell: their rows taken, put and mixed, of arrays in dicts and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.bool_]  # (n,) of n environments


def rows_of(batch: Any, rows: Rows) -> Any:
    """These rows of a batch, as a batch."""
    if isinstance(batch, dict):
        return {key: rows_of(part, rows) for key, part in batch.items()}
    return tuple(rows_of(part, rows) for part in batch) if isinstance(batch, tuple) else batch[rows]


def put(batch: Any, rows: Rows, values: Any) -> None:
    """Write ``values``, a batch of as many as these rows, to them."""
    if isinstance(batch, dict):
        for key, part in batch.items():
            put(part, rows, values[key])
    elif isinstance(batch, tuple):
        for part, value in zip(batch, values, strict=True):
            put(part, rows, value)
    else:
        batch[rows] = values


def mixed(rows: Rows, taken: Any, other: Any) -> Any:
    """``taken`` in these rows, and ``other`` in all others."""
    if isinstance(taken, dict):
        return {key: mixed(rows, part, other[key]) for key, part in taken.items()}
    if isinstance(taken, tuple):
        return tuple(mixed(rows, *parts) for parts in zip(taken, other, strict=True))
    return np.where(rows.reshape(-1, *(1,) * (taken.ndim - 1)), taken, other)


def told(infos: dict[str, NDArray], rows: Rows) -> dict[str, NDArray]:
    """Infos, and beside each its mask: the rows of the environments that tell it."""
    return infos | {f"_{key}": rows.copy() for key in infos}


def merged(rows: Rows, taken: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The infos ``taken`` in these rows, and ``other`` in all others; masked where they do not tell a key."""
    both: dict[str, Any] = {}
    for key in other | taken:
        some = taken.get(key, other.get(key))
        if isinstance(some, dict):
            both[key] = merged(rows, taken.get(key, {}), other.get(key, {}))
        else:
            absent: Any = np.zeros_like(some) if key[0] == "_" else some
            both[key] = mixed(rows, taken.get(key, absent), other.get(key, absent))
    return both


def reset_at_once(
    reset: Callable[..., tuple[Any, dict[str, Any]]], rows: Rows, last: Any, infos: dict[str, Any]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Reset some environments in the step that ended their episodes, as ``AutoresetMode.SAME_STEP`` does.

    Args:
        reset: Of a vector environment that takes ``options["reset_mask"]``.
        rows: Whose episodes ended.
        last: What all observed last: a batch, or an array of objects; in the form of what stands under ``final_obs``.
        infos: Of the step. Final ones in them, of others that ended, stay.

    Returns:
        What ``reset`` returned, observation and infos; and the infos of the step, with the final ones.
    """
    before = {key: infos.pop(key) for key in list(infos) if key.lstrip("_") in ("final_obs", "final_info")}
    final_obs = mixed(rows, last, before.get("final_obs", last))
    final_info = merged(rows, infos, before.get("final_info", {}))
    ended = rows | before.get("_final_info", np.zeros_like(rows))
    observation, fresh = reset(options={"reset_mask": rows.copy()})
    final = {"final_obs": final_obs, "_final_obs": ended, "final_info": final_info, "_final_info": ended.copy()}
    return observation, fresh, merged(rows, fresh, infos) | final
