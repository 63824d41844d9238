"""Operations on long arrays of indices, block by block, since NumPy converts indices to int64 in temporary arrays."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 21  # rows at once
Value = TypeVar("Value", bound=np.generic)


def slices(n_rows: int) -> Iterator[slice]:
    """Yield consecutive slices that cover `n_rows` rows."""
    for start in range(0, n_rows, BLOCK):
        yield slice(start, min(start + BLOCK, n_rows))


def count_indices(index: NDArray[np.integer], n: int) -> NDArray[np.int64]:
    """Return how often each of `n` indices occurs, (n,).

    >>> count_indices(np.array([2, 0, 2], dtype=np.int32), 4)
    array([1, 0, 2, 0])
    """
    counts = np.zeros(n, dtype=np.int64)
    for some in slices(len(index)):
        counts += np.bincount(index[some], minlength=n)
    return counts


def replace_indices(index: NDArray[np.int32], by: NDArray[np.int32]) -> None:
    """Replace each index i by `by[i]`, in place.

    >>> replace_indices(index := np.array([2, 0, 2], dtype=np.int32), np.array([7, 8, 9], dtype=np.int32))
    >>> index
    array([9, 7, 9], dtype=int32)
    """
    for some in slices(len(index)):
        index[some] = by[index[some]]


def of_indices(index: NDArray[np.integer], values: NDArray[Value]) -> NDArray[Value]:
    """Return the value of each index, (n,).

    >>> of_indices(np.array([2, 0, 2], dtype=np.int32), np.array([0.5, 0.0, 1.5]))
    array([1.5, 0.5, 1.5])
    """
    found = np.empty(len(index), dtype=values.dtype)
    for some in slices(len(index)):
        found[some] = values[index[some]]
    return found


def row_bounds(index: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Return the bounds of the rows of each index in a sorted array, (n + 1,): the rows of i are `[i]:[i + 1]`.

    >>> row_bounds(np.array([0, 2, 2], dtype=np.int32), 4)
    array([0, 1, 1, 3, 3])
    """
    return np.searchsorted(index, np.arange(n + 1, dtype=index.dtype)).astype(np.int64)


def whole_blocks(bounds: NDArray[np.int64], n_blocks: int) -> NDArray[np.int64]:
    """Return which users begin the blocks of about equal numbers of rows, without dividing a user, (n_blocks + 1,).

    Args:
        bounds: Row bounds of the users, (n_users + 1,).
        n_blocks: Number of blocks; some are empty where users have very many rows.

    >>> whole_blocks(np.array([0, 3, 4, 6]), 2)
    array([0, 1, 3])
    """
    even = np.arange(n_blocks + 1) * bounds[-1] // max(n_blocks, 1)
    return np.searchsorted(bounds, even)


def user_slices(bounds: NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
    """Yield the users and the rows of consecutive blocks of whole users.

    Args:
        bounds: Row bounds of the users, (n_users + 1,).
    """
    first = whole_blocks(bounds, -(-int(bounds[-1]) // BLOCK))
    for start, stop in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
        yield slice(start, stop), slice(int(bounds[start]), int(bounds[stop]))
