"""Sums over the users who have both items of a pair: each pair of items in a user's list is visited once."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import SparseRows, count_columns, equal_tasks
from anirec.threads import in_threads

TASKS = 512
FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN is preserved
Array = NDArray[Any]


class Occurrences(NamedTuple):
    """Users of each item: those of item i are `user[start[i]:start[i + 1]]`, ascending; `rank` is its place.

    `start` is int64, the others are int32.
    """

    start: Array
    user: Array
    rank: Array


def occurrences(by_user: SparseRows, n_items: int) -> Occurrences:
    """Return the places of all items in the users' lists."""
    start = np.append(0, count_columns(by_user.column, n_items).cumsum())
    user, rank = np.empty((2, len(by_user.column)), np.int32)
    place_occurrences(by_user.start, by_user.column, start[:-1].copy(), user, rank)
    return Occurrences(start, user, rank)


@numba.njit(cache=True, nogil=True)
def place_occurrences(start: Array, column: Array, next_i: Array, user: Array, rank: Array) -> None:
    for u in range(len(start) - 1):
        for entry in range(start[u], start[u + 1]):
            place = next_i[column[entry]]
            next_i[column[entry]] += 1
            user[place] = u
            rank[place] = entry - start[u]


@numba.njit(cache=True, nogil=True)
def pair_counts(of_item: Occurrences) -> Array:
    """Return for each item the number of entries before it in its users' lists, plus its own: int64 (n_items,)."""
    count_i = np.zeros(len(of_item.start) - 1, np.int64)
    for i in range(len(count_i)):
        for a in range(of_item.start[i], of_item.start[i + 1]):
            count_i[i] += of_item.rank[a] + 1
    return count_i


@numba.njit(cache=True, nogil=True)
def entries_beside(by_user: SparseRows, of_item: Occurrences) -> Array:
    """Return for each item the number of all entries in its users' lists: int64 (n_items,)."""
    count_i = np.zeros(len(of_item.start) - 1, np.int64)
    for i in range(len(count_i)):
        for a in range(of_item.start[i], of_item.start[i + 1]):
            u = of_item.user[a]
            count_i[i] += by_user.start[u + 1] - by_user.start[u]
    return count_i


def gram_lower(by_user: SparseRows, of_item: Occurrences, first: int, last: int, out_ij: Array) -> None:
    """Fill the rows from `first` to before `last` of the Gram matrix X'X, up to the diagonal.

    Args:
        by_user: X, with ascending columns in each row.
        of_item: Its occurrences.
        first: First row.
        last: Row after the last one.
        out_ij: Matrix to fill, float32 (n_items, n_items).
    """
    bounds = first + equal_tasks(pair_counts(of_item)[first:last], TASKS, least=1 << 20)

    def task(number: int, _: int) -> None:
        sum_products(bounds[number], bounds[number + 1], by_user, of_item, out_ij)

    in_threads(task, len(bounds) - 1, chunk=1)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sum_products(first: int, last: int, by_user: SparseRows, of_item: Occurrences, out_ij: Array) -> None:
    sum_j = np.zeros(last)
    for i in range(first, last):
        for a in range(of_item.start[i], of_item.start[i + 1]):
            begin = by_user.start[of_item.user[a]]
            end = begin + of_item.rank[a]
            x = by_user.value[end]
            for entry in range(begin, end + 1):
                sum_j[by_user.column[entry]] += x * by_user.value[entry]
        for j in range(i + 1):
            out_ij[i, j] = sum_j[j]
            sum_j[j] = 0
