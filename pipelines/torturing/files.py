"""Files below a folder, and tables as files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def below(folder: Path) -> list[Path]:
    """The files below a folder, in order; caches left out."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if "cache" not in path.relative_to(folder).parts]


def names_below(folder: Path) -> list[str]:
    """The same, by their names there."""
    return [path.relative_to(folder).as_posix() for path in below(folder)]


def as_parquet(table: pa.Table) -> bytes:
    """A table as it stands in a file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
