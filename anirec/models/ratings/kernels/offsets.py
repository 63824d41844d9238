"""Kernel of the bias model: user and item offsets by damped alternating least squares."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import equal_tasks
from anirec.threads import in_threads

PARTS = 64  # ranges of users with sums of their own; a fixed number, so that the order of the sums is fixed
Array = NDArray[Any]


def fit_offsets(
    start: Array, item: Array, rating: Array, *, mean: float, n_items: int, damping: tuple[float, float], sweeps: int
) -> tuple[Array, Array]:
    """Return the offsets of users and of items, float64, fitted to rating - mean; items first.

    Args:
        start: Bounds of each user's rows, int64 (n_users + 1,).
        item: Item of each row, int32 (n,).
        rating: Ratings, float32 (n,); NaN where unrated.
        mean: Mean rating.
        n_items: Number of items.
        damping: Number of pseudo-ratings with offset 0 added to every user, and to every item.
        sweeps: Number of sweeps over items and users.
    """
    bounds = equal_tasks(np.diff(start), PARTS, least=1 << 15)
    sums, counts = np.zeros((2, len(bounds) - 1, n_items))
    of_user, of_item = np.zeros(len(start) - 1), np.zeros(n_items)
    damping_user, damping_item = damping

    def rows(part: int) -> tuple[Array, Array, Array, float, Array]:
        first, last = bounds[part], bounds[part + 1]
        return start[first : last + 1], item, rating, mean, of_user[first:last]

    def sum_by_item(part: int, _: int) -> None:
        sum_residuals(*rows(part), sums[part], counts[part])

    def sweep(part: int, _: int) -> None:
        fit_users(*rows(part), of_item, damping_user)
        sums[part] = 0
        sum_residuals(*rows(part), sums[part], counts[part])

    in_threads(sum_by_item, len(bounds) - 1, chunk=1)
    weight_item = np.maximum(counts.sum(axis=0) + damping_item, np.finfo(np.float64).tiny)
    for _ in range(sweeps):
        of_item[:] = sums.sum(axis=0) / weight_item
        in_threads(sweep, len(bounds) - 1, chunk=1)
    return of_user, of_item


@numba.njit(cache=True, nogil=True)
def fit_users(
    start: Array, item: Array, rating: Array, mean: float, of_user: Array, of_item: Array, damping: float
) -> None:
    """Set each user's offset to the damped mean of rating - mean - item offset."""
    for u in range(len(of_user)):
        total, n = 0.0, 0
        for row in range(start[u], start[u + 1]):
            if not np.isnan(rating[row]):
                total += rating[row] - mean - of_item[item[row]]
                n += 1
        of_user[u] = total / (n + damping) if n else 0.0


@numba.njit(cache=True, nogil=True)
def sum_residuals(
    start: Array, item: Array, rating: Array, mean: float, of_user: Array, sum_i: Array, count_i: Array
) -> None:
    """Add rating - mean - user offset to the sum of each row's item, and the row to its count."""
    for u in range(len(of_user)):
        for row in range(start[u], start[u + 1]):
            if not np.isnan(rating[row]):
                sum_i[item[row]] += rating[row] - mean - of_user[u]
                count_i[item[row]] += 1
