"""A column of a Parquet table as an array."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def integers(table: pa.Table, column: str) -> NDArray[np.int64]:
    """A column of whole numbers (rows,), or of lists of one.

    Raises:
        KeyError: There is no such column.
        ValueError: Some are missing, or none are whole numbers.
    """
    array = table[column].combine_chunks()
    while pa.types.is_nested(array.type) and len(array.flatten()) == len(array):
        array = array.flatten()
    if not pa.types.is_integer(array.type) or array.null_count:
        raise ValueError(f"{column} is a {array.type} with {array.null_count} missing, expected whole numbers")
    return array.to_numpy(zero_copy_only=False).astype(np.int64)


def matrix(table: pa.Table, column: str, dtype: type[Number]) -> NDArray[Number]:
    """A column of numbers, or of lists of them, however deep, as (rows, dim).

    Raises:
        KeyError: There is no such column.
        ValueError: They are no numbers, some are missing, or of different lengths.
    """
    array = table[column].combine_chunks()
    rows = len(array)
    while pa.types.is_nested(array.type):
        lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
        if not (lengths == lengths[:1]).all():
            raise ValueError("its lists are of different lengths")
        array = array.flatten()
    if array.null_count:
        raise ValueError(f"{array.null_count} numbers are missing")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise ValueError(f"each row is a {array.type}, expected a number or a list of numbers")
    return array.to_numpy(zero_copy_only=False).reshape(rows, -1 if rows else 1).astype(dtype)


def vectors(parts: list[NDArray[np.float32]]) -> pa.Array:
    """Rows of (n, dim) arrays, one array after the other, as a column of lists; of one number each, of numbers."""
    rows = np.concatenate(parts).astype(np.float32)
    if rows.shape[1] == 1:  # as LeRobot reads a feature of shape [1]
        return pa.array(rows.ravel())
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
