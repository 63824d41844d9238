"""Compressed sparse rows: transposed by counting, and divided into tasks of equal work."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class SparseRows(NamedTuple):
    """Compressed sparse rows: row r has `value` at `column`, both in the slice `start[r]:start[r + 1]`.

    `start` is int64, `column` int32 and `value` float32.
    """

    start: Array
    column: Array
    value: Array

    def transpose(self, n_columns: int) -> "SparseRows":
        """Return the same entries as compressed sparse rows of the transposed matrix."""
        start, row, (value,) = transpose(self.start, self.column, (self.value,), n_columns)
        return SparseRows(start, row, value)

    def with_columns(self, new_c: Array) -> "SparseRows":
        """Return the rows with columns renumbered to `new_c[column]`, again in ascending order."""
        renumbered = SparseRows(self.start, new_c[self.column], self.value)
        return renumbered.transpose(len(new_c)).transpose(len(self.start) - 1)


def transpose(start: Array, column: Array, values: tuple[Array, ...], n_columns: int) -> tuple[Array, Array, Any]:
    """Return the start of each column, the rows of its entries, int32 and ascending, and the entries' values."""
    starts = np.append(0, count_columns(column, n_columns).cumsum())
    row, moved = np.empty(len(column), np.int32), tuple(np.empty_like(value) for value in values)
    place_by_column(start, column, values, starts[:-1].copy(), row, moved)
    return starts, row, moved


@numba.njit(cache=True, nogil=True)
def count_columns(column: Array, n_columns: int) -> Array:
    """Return the number of entries of each column, int64; `np.bincount` would copy the columns as int64."""
    count_c = np.zeros(n_columns, np.int64)
    for c in column:
        count_c[c] += 1
    return count_c


@numba.njit(cache=True, nogil=True)
def sum_columns(column: Array, value: Array, n_columns: int, power: int) -> Array:
    """Return the sum of value^power of each column, float64; power is 1 or 2."""
    sum_c = np.zeros(n_columns)
    for entry in range(len(column)):
        x = np.float64(value[entry])
        sum_c[column[entry]] += x if power == 1 else x * x
    return sum_c


@numba.njit(cache=True, nogil=True)
def place_by_column(
    start: Array, column: Array, values: tuple[Array, ...], next_c: Array, row: Array, moved: tuple[Array, ...]
) -> None:
    for r in range(len(start) - 1):
        for entry in range(start[r], start[r + 1]):
            place = next_c[column[entry]]
            next_c[column[entry]] += 1
            row[place] = r
            for k in range(len(values)):
                moved[k][place] = values[k][entry]


def equal_tasks(work_n: Array, n_tasks: int, *, least: int = 1) -> Array:
    """Return bounds of ranges of rows with about equal sums of work, int64 (number of ranges + 1,).

    Args:
        work_n: Work of each row.
        n_tasks: Maximum number of ranges.
        least: Work of a task that is long compared with its start; the ranges are fewer where there is too little work.

    >>> equal_tasks(np.array([9, 1, 1, 1, 6, 0]), 3)
    array([0, 1, 4, 6])
    """
    n_tasks = max(1, min(n_tasks, int(work_n.sum()) // least))
    done_n = np.append(0, np.cumsum(work_n))
    wanted = np.linspace(0, done_n[-1], n_tasks + 1)
    return np.unique(np.append(np.searchsorted(done_n, wanted[:-1]), len(work_n)))
