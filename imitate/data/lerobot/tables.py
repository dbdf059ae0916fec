"""The tables of a dataset: a row for each frame of its episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.data.lerobot.column import Number, integers, matrix
from imitate.data.lerobot.places import DATA, Places
from imitate.errors import UserError, first_line
from imitate.keeping.finite import check_finite
from imitate.keeping.manifest import verified


@dataclass(frozen=True)
class Table(Generic[Number]):
    """One feature in one file.

    Attributes:
        path: Of the file.
        values: (rows, dim), as they stand there.
        rows: (rows,) these, episode by episode, frame by frame.
        numbers: (rows,) what the dataset calls the episodes of ``rows``.
        frames: (rows,) which of its episode's frames each of ``rows`` is.
    """

    path: Path
    values: NDArray[Number]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """All of them.

    Attributes:
        places: Where the episodes stand.
    """

    places: Places

    def column(self, name: str, episodes: Sequence[int], dtype: type[Number]) -> NDArray[Number]:
        """A feature (frames, dim) of some episodes, one after the other.

        Raises:
            UserError: A table is damaged, without it, or holds what is no number.
        """
        parts: list[NDArray[Number]] = []
        table: Table[Number] | None = None
        for episode in episodes:
            path = self.places.file(DATA, episode)
            if table is None or path != table.path:  # only the last one is kept: all of them are the dataset
                table = self.read(path, name, dtype)
            part = table.values[self.rows(table, episode)]
            if parts and part.shape[1] != parts[0].shape[1]:
                raise UserError(f"{path}: {name!r} of {part.shape[1]} numbers, expected {parts[0].shape[1]}")
            what = f"{path}: {name!r} of episode {self.places.numbers[episode]}"
            check_finite(what, part.astype(np.float64), "expected numbers: record it anew")
            parts.append(part)
        return np.concatenate(parts)

    def read(self, path: Path, name: str, dtype: type[Number]) -> Table[Number]:
        """A feature in one file, all of it.

        Raises:
            UserError: It is damaged, without the feature, or holds what is no number.
        """
        try:
            columns = dict.fromkeys((name, "episode_index", "frame_index"))
            table = pq.read_table(verified(path), columns=list(columns))
            numbers, frames = integers(table, "episode_index"), integers(table, "frame_index")
            rows = np.lexsort((frames, numbers))
            return Table(path, matrix(table, name, dtype), rows, numbers[rows], frames[rows])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path}: damaged, or without {name!r} ({first_line(error)})") from None

    def rows(self, table: Table[Number], episode: int) -> NDArray[np.int64]:
        """Which rows of a table are an episode's, in its order.

        Raises:
            UserError: They are not as many as it has frames, or one comes twice.
        """
        number, length = self.places.numbers[episode], self.places.lengths[episode]
        first, end = np.searchsorted(table.numbers, (number, number + 1))
        if end - first != length:
            raise UserError(f"{table.path}: damaged: {end - first} rows of episode {number}, expected {length}")
        if not (np.diff(table.frames[first:end]) > 0).all():
            raise UserError(f"{table.path}: damaged: a frame_index of episode {number} comes twice, expected each once")
        return table.rows[first:end]
