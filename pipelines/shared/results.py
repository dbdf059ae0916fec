"""The results of a benchmark: a table to be read, NAME.csv, and beside it NAME.json with all that is no row.

Results may have further tables: the learning curves of imitation.csv are in imitation-curves.csv.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from imitate.errors import UserError, first_line
from imitate.keeping.manifest import as_text, verified
from imitate.keeping.runs import finite, read_json, versions, written_aside

from .machine import machine

DIGITS = 6  # of a figure; those of the runs themselves stay in their directories
EXACT = 2**53  # below which a float without a fraction is one integer, and no other
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """What a benchmark has found.

    Attributes:
        rows: Of its table, by the names of the columns. A cell is a number, a text, or None; a row may lack some.
        about: What is no row: the command, the commit, the machine, the settings.
        more: The rows of further tables, by what their files' names end in.
    """

    rows: Rows
    about: dict[str, Any]
    more: dict[str, Rows] = field(default_factory=dict)


def about(command: str) -> dict[str, Any]:
    """What is said of all results: the command, the machine that it runs on, and the versions of the packages."""
    return {"command": command, "machine": machine(), "versions": versions()}


def check_out(out: Path) -> None:
    """Refuse, before anything is measured, a place that results could not be written to.

    Raises:
        UserError: It is not called like a table, or is a folder.
    """
    if out.suffix != ".csv":
        raise UserError(f"{out}: expected the name of a table, such as {out.stem or 'results'}.csv")
    for path in (out, out.with_suffix(".json")):
        if path.is_dir():
            raise UserError(f"{path} is a folder, expected a file to write the figures to")


def table(out: Path, name: str) -> Path:
    """Where a further table of the results in ``out`` stands."""
    return out.with_name(f"{out.stem}-{name}{out.suffix}")


def rounded(value: Any) -> Any:
    """A figure, or all in a row or a list of them, to ``DIGITS`` significant digits; None for NaN and infinity."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def as_cell(values: Sequence[float | None]) -> str:
    """Several figures in one cell, such as one a joint; ``numbers`` reads them, NaN what is not known."""
    return " ".join(f"{math.nan if value is None else value:.{DIGITS}g}" for value in values)


def numbers(cell: Any) -> list[float]:
    """The figures in a cell.

    Raises:
        ValueError: They are no numbers.
    """
    return [] if cell is None else [float(word) for word in str(cell).split()]


def write_results(out: Path, results: Results) -> None:
    """Write all files of some results, or none; figures are ``rounded``.

    Each file is whole whenever the process ends. The JSON takes its place last: where a machine stops between two of
    them, it is the earlier one that stands beside the newer table.

    Args:
        out: The table.
        results: What is written.
    """
    tables = {out: results.rows} | {table(out, name): rows for name, rows in results.more.items()}
    with ExitStack() as places:
        beside = places.enter_context(written_aside(out.with_suffix(".json")))
        for path, rows in tables.items():
            places.enter_context(written_aside(path)).write_bytes(_as_csv(rounded(rows)))
        beside.write_text(as_text(finite(results.about)))


def read_results(out: Path, more: Sequence[str] = ()) -> Results:
    """Read results; those of a finished stage are ``verified`` first.

    Args:
        out: The table.
        more: The names of the further tables to read.

    Raises:
        UserError: A file of them is missing, damaged, or of another kind.
    """
    check_out(out)
    rows, others = read_csv(out), {name: read_csv(table(out, name)) for name in more}
    beside = read_json(out.with_suffix(".json"))
    if not isinstance(beside, dict):
        raise UserError(f"{out.with_suffix('.json')}: not what stands beside a table of results")
    return Results(rows, beside, others)


def write_csv(path: Path, rows: Rows) -> None:
    """Write one table, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_bytes(_as_csv(rows))


def _as_csv(rows: Rows) -> bytes:
    """Columns stand in the order in which they first appear. Without rows, there are none."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _whole(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode(errors="backslashreplace")  # of a file's name that is no text


def read_csv(path: Path) -> Rows:
    """Read one table; that of a finished stage is ``verified`` first.

    Raises:
        UserError: It is missing, damaged, or no table.
    """
    try:
        content = verified(path).read_bytes()
        return _rows(content) if content else []
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table ({first_line(error)})") from None


def _rows(content: bytes) -> Rows:
    columns = pacsv.read_csv(
        pa.BufferReader(content),
        pacsv.ReadOptions(use_threads=False),
        pacsv.ParseOptions(newlines_in_values=True),
        pacsv.ConvertOptions(null_values=[""], strings_can_be_null=True, timestamp_parsers=[]),
    )
    strange = [name for name in columns.column_names if pa.types.is_binary(columns.schema.field(name).type)]
    if strange:
        raise ValueError(f"no text in column {strange[0]!r}")
    return [{name: _whole(value) for name, value in row.items()} for row in columns.to_pylist()]


def _whole(value: Any) -> Any:
    """Counts are ints, also in a column with fractions."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value
