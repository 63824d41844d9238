"""Training rows in blocks of users x items, and the order in which a sweep visits the blocks.

Blocks that share neither users nor items change different parameters. Threads may process them at the same time, and
the result does not depend on the number of threads (Gemulla et al., Large-Scale Matrix Factorization with Distributed
Stochastic Gradient Descent, KDD 2011; Zhuang et al., A Fast Parallel SGD for Matrix Factorization in Shared Memory
Systems, RecSys 2013). The blocks also fit in a cache: those of 1,000 items and 80 factors take 330 kB.
"""

import heapq
from math import isqrt
from typing import Any, Generic, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.data.ratings.interactions import Interactions
from anirec.models.ratings.kernels import TensorOrArray

MOST_GROUPS = 16  # of users and of items; with more, a user has too few ratings in a block to pay for reading p_u
BLOCK_ROWS = 1 << 14  # approximate minimum of the mean number of rows of a block; half a millisecond of work
Array = NDArray[Any]


class Grid(NamedTuple, Generic[TensorOrArray]):
    """Rows sorted by group of items, then by user. Groups of users have about equal numbers of rows, as have items.

    Args:
        users: Bounds of the groups of users, (n_user_groups + 1,): group g holds `users[g]:users[g + 1]`.
        start: Row bounds, (n_item_groups, n_users + 1): the rows of user u with items of group c are
            `start[c, u]:start[c, u + 1]`.
        item: Items of the rows, int32 (n_rows,).
        rating: Ratings, float32 (n_rows,); NaN where the user did not rate.
    """

    users: Array
    start: TensorOrArray
    item: TensorOrArray
    rating: TensorOrArray


def groups_for(n_rows: int) -> int:
    """Return the number of groups of users and of items, a power of 2; independent of the number of threads.

    >>> [groups_for(n) for n in (10_000, 100_000, 400_000, 20_000_000)]
    [1, 2, 4, 16]
    """
    return min(MOST_GROUPS, 1 << max(0, isqrt(n_rows // BLOCK_ROWS).bit_length() - 1))


def square_grid(rows: Interactions, n_items: int, n_groups: int) -> Grid[Array]:
    """Return the rows in `n_groups` groups of users and as many of items. They are copied, 8 bytes per row."""
    counts_i = np.bincount(rows.item, minlength=n_items)
    start = np.zeros((n_groups, rows.n_users + 1), np.int64)
    item, rating = np.empty_like(rows.item), np.empty_like(rows.rating)
    sort_by_group(rows.indptr, rows.item, rows.rating, balanced_groups(counts_i, n_groups), start, item, rating)
    return Grid(even_bounds(rows.indptr, n_groups), start, item, rating)


def grid_of_users(rows: Interactions, n_groups: int) -> Grid[Array]:
    """Return the rows in groups of users, with one group of all items; the rows are not copied."""
    return Grid(even_bounds(rows.indptr, n_groups), rows.indptr[None], rows.item, rows.rating)


def even_bounds(indptr: Array, n_groups: int) -> Array:
    """Return bounds of groups of users with as equal numbers of rows as whole users allow, (n_groups + 1,)."""
    return np.searchsorted(indptr, np.arange(n_groups + 1) * indptr[-1] // n_groups)


def balanced_groups(counts: Array, n_groups: int) -> Array:
    """Return the group of each item, (n_items,): from the largest count down, each goes to the smallest group.

    >>> balanced_groups(np.array([1, 5, 3, 2, 1]), 2).tolist()
    [0, 0, 1, 1, 1]
    """
    groups, sizes = np.zeros(len(counts), np.int64), [(0, group) for group in range(n_groups)]
    for item in np.argsort(-counts, kind="stable").tolist():
        size, groups[item] = sizes[0]
        heapq.heapreplace(sizes, (size + int(counts[item]), int(groups[item])))
    return groups


@numba.njit(cache=True, nogil=True)
def sort_by_group(
    indptr: Array, item: Array, rating: Array, groups: Array, start: Array, out_item: Array, out_rating: Array
) -> None:
    """Sort rows, which are sorted by user, by the group of their item (counting sort); fill `start` and the outputs."""
    n_groups, n_users = start.shape[0], start.shape[1] - 1
    for u in range(n_users):
        for row in range(indptr[u], indptr[u + 1]):
            start[groups[item[row]], u + 1] += 1
    total = 0
    for c in range(n_groups):
        start[c, 0] = total
        for u in range(n_users):
            start[c, u + 1] += start[c, u]
        total = start[c, n_users]
    free = start[:, 0].copy()
    for u in range(n_users):
        for row in range(indptr[u], indptr[u + 1]):
            c = groups[item[row]]
            out_item[free[c]], out_rating[free[c]] = item[row], rating[row]
            free[c] += 1


def strata(n_user_groups: int, n_item_groups: int, random: np.random.Generator) -> Array:
    """Return all blocks in random order, (n_user_groups, n_item_groups, 2): pairs of a group of users and one of items.

    The blocks of a stratum, which is an entry of the first axis, share no group. There are at least as many groups of
    users as of items.

    >>> strata(2, 2, np.random.default_rng(0)).tolist()
    [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]
    """
    users, items, shifts = (random.permutation(n) for n in (n_user_groups, n_item_groups, n_user_groups))
    of_users = users[(shifts[:, None] + np.arange(n_item_groups)) % n_user_groups]
    return np.stack([of_users, np.broadcast_to(items, of_users.shape)], axis=-1)
