"""A copy of a LeRobotDataset v3.0 with columns of one's own; the original is only read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.places import DATA
from imitate.data.lerobot.tables import Tables
from imitate.errors import UserError
from imitate.keeping.finite import check_finite
from imitate.keeping.lock import LOCK
from imitate.keeping.runs import read_json, write_json, written_aside

HUGGINGFACE = b"huggingface"  # under which `datasets` keeps what it knows of a table's columns
OURS = {"cache", LOCK}  # what this package leaves in a dataset's folder

Floats = NDArray[np.float32]


def check_labels(dataset: LeRobotDataset, names: tuple[str, ...], folder: Path) -> None:
    """Refuse to write what is there already, or into the original.

    Raises:
        UserError: One of the names is taken, or none that the format allows; or the copy would stand in the dataset.
    """
    if folder.resolve().is_relative_to(dataset.folder.resolve()):
        raise UserError(f"{folder} is in {dataset.folder}, which is only read: choose a place outside it, with --run")
    for name in names:
        if not name or "/" in name:
            raise UserError(f"column {name!r}, expected a name without a slash")
        if dataset.has(name):
            raise UserError(f"{dataset.folder}: has a column {name!r} already: choose another name for the new one")


def write_labelled(
    dataset: LeRobotDataset,
    folder: Path,
    columns: Mapping[str, Floats],
    complete: Callable[[Path], object] = lambda folder: None,
) -> None:
    """Write a copy of a dataset with further columns, of one number each.

    Args:
        dataset: The original.
        folder: Of the copy; it must not exist. It appears when it is whole.
        columns: By name, (frames,) of all episodes, one after the other, in the dataset's order.
        complete: Called with the copy's folder before it appears, to write what else belongs to it.

    Raises:
        UserError: A name is taken, there are not as many numbers as frames, or one is NaN or infinite.
        OSError: The copy can't be written, of which nothing is left then.
    """
    check_labels(dataset, tuple(columns), folder)
    for name, values in columns.items():
        if values.shape != (int(dataset.lengths.sum()),):
            raise UserError(
                f"{name} of shape {values.shape}, expected ({int(dataset.lengths.sum())},): a number a frame"
            )
        check_finite(name, values, "expected numbers")
    if folder.exists():
        raise UserError(f"{folder} is there already: choose another place, or delete it")
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _copy(dataset.folder, aside)
        tables, starts = Tables(dataset.places), dataset.starts
        for path, episodes in dataset.places.by_file(DATA).items():
            known = tables.read(path, "episode_index", np.int64)
            added = {name: np.full(len(known.values), np.nan, np.float32) for name in columns}
            for episode in episodes:
                rows = tables.rows(known, episode)
                for name, column in columns.items():
                    added[name][rows] = column[starts[episode] : starts[episode + 1]]
            _add(path, aside / path.relative_to(dataset.folder), added)
        _describe(aside, columns)
        complete(aside)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy all files, those behind links too, up to the first that can't be."""
    for at, folders, files in os.walk(source, onerror=_raise, followlinks=True):
        here = Path(os.path.realpath(at))
        own = OURS if Path(at) == source else set()
        within = [name for name in folders if here.is_relative_to(os.path.realpath(here / name))]  # leads in a circle
        folders[:] = [name for name in folders if name not in own and name not in within]
        place = target / os.path.relpath(at, source)
        place.mkdir(parents=True, exist_ok=True)
        for name in set(files) - own:
            shutil.copyfile(os.path.join(at, name), place / name)


def _raise(error: OSError) -> None:
    raise error


def _add(source: Path, target: Path, values: Mapping[str, Floats]) -> None:
    """Write a table with further columns."""
    table = pq.read_table(source)
    metadata = dict(table.schema.metadata or {})
    for name, column in values.items():
        table = table.append_column(name, pa.array(column))
    if HUGGINGFACE in metadata:
        known = json.loads(metadata[HUGGINGFACE])
        features = known.get("info", {}).get("features", {})
        features.update({name: {"dtype": "float32", "_type": "Value"} for name in values})
        metadata[HUGGINGFACE] = json.dumps(known).encode()
    with written_aside(target) as aside:
        pq.write_table(table.replace_schema_metadata(metadata), aside)


def _describe(folder: Path, columns: Mapping[str, Floats]) -> None:
    """Say in ``meta`` what the columns are, and their statistics."""
    info: dict[str, Any] = read_json(folder / "meta/info.json")
    info["features"] |= {name: {"dtype": "float32", "shape": [1], "names": None} for name in columns}
    if (folder / "meta/stats.json").is_file():
        stats: dict[str, Any] = read_json(folder / "meta/stats.json")
        for name, values in columns.items():
            figures = {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}
            stats[name] = {key: [float(value)] for key, value in figures.items()} | {"count": [len(values)]}
        write_json(folder / "meta/stats.json", stats)
    write_json(folder / "meta/info.json", info)
