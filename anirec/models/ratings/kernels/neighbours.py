"""Kernels of item-item collaborative filtering: similarities, predictions and rankings.

Ratings are compressed sparse rows by user and by item. Neighbours are tables of shape (n_items, kept), nearest first,
with similarity 0 where an item has fewer. Memory is O(ratings + items x kept).
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.threads import in_threads

ITEMS_PER_TASK = 128
USERS_PER_TASK = 64
FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN is preserved
Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]


class SparseRows(NamedTuple):
    """Compressed sparse rows: row r has `value` at `column`, both in the slice `start[r]:start[r + 1]`."""

    start: Int64Array
    column: Int32Array
    value: Float32Array

    def transpose(self, n_columns: int) -> "SparseRows":
        from scipy.sparse import csr_array

        shape = (len(self.start) - 1, n_columns)
        by_column = csr_array((self.value, self.column, self.start), shape=shape).tocsc()
        return SparseRows(
            by_column.indptr.astype(np.int64, copy=False),
            by_column.indices.astype(np.int32, copy=False),
            by_column.data,
        )


class Neighbours(NamedTuple):
    """Nearest items of each item and their similarities, both (n_items, kept)."""

    item: Int32Array
    similarity: Float32Array

    def voters(self, n: int) -> SparseRows:
        """Return in row j the items that have j among their `n` nearest, and their similarities."""
        n_items = len(self.item)
        similarity = self.similarity[:, :n]
        counts = (similarity > 0).sum(1)
        start = np.append(0, counts.cumsum())
        is_used = similarity > 0
        return SparseRows(start, self.item[:, :n][is_used], similarity[is_used]).transpose(n_items)


def find_neighbours(
    by_user: SparseRows, n_items: int, *, among_shared: bool, shrinkage: float, min_support: int, keep: int
) -> Neighbours:
    """Return the `keep` most similar items of each item, among those with positive similarity.

    The similarity of i and j is Σ_u x_ui x_uj over shared users, divided by the norms of the two columns, over shared
    users (`among_shared`) or over all; times (n - 1) / (n - 1 + shrinkage) for n shared users.
    """
    by_item = by_user.transpose(n_items)
    keep = min(keep, n_items)
    item, similarity = np.zeros((n_items, keep), np.int32), np.zeros((n_items, keep), np.float32)
    lengths_i = np.sqrt(np.bincount(by_user.column, by_user.value.astype(np.float64) ** 2, n_items)).astype(np.float32)

    def task(first: int, last: int) -> None:
        keys, counts = np.empty((last - first, n_items), np.int64), np.empty(last - first, np.int64)
        similarity_keys(first, by_item, by_user, lengths_i, among_shared, shrinkage, min_support, keys, counts)
        for i, row, n in zip(range(first, last), keys, counts, strict=True):
            best = np.sort(row[:n])[: -keep - 1 : -1]
            item[i, : len(best)] = best & 0xFFFFFFFF
            similarity[i, : len(best)] = (best >> 32).astype(np.int32).view(np.float32)

    in_threads(task, n_items, chunk=ITEMS_PER_TASK)
    used = max(1, int(np.count_nonzero(similarity.any(axis=0))))
    if used < keep:
        item, similarity = item[:, :used].copy(), similarity[:, :used].copy()
    return Neighbours(item, similarity)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def similarity_keys(
    first_item: int,
    by_item: SparseRows,
    by_user: SparseRows,
    lengths_i: Float32Array,
    among_shared: bool,
    shrinkage: float,
    min_support: int,
    keys: Int64Array,
    counts: Int64Array,
) -> None:
    """Fill the first `counts` entries of each row of `keys`: similarity in the upper 32 bits, item in the lower 32.

    Sorting the keys sorts by similarity, since the bits of positive floats have the same order as the floats. One row
    of sums, 16 bytes per item, fits in the L2 cache.
    """
    n_items = keys.shape[1]
    sums = np.zeros((n_items, 4), np.float32)
    as_float = np.zeros(1, np.float32)
    as_bits = as_float.view(np.int32)
    for row in range(len(keys)):
        i = first_item + row
        for a in range(by_item.start[i], by_item.start[i + 1]):
            user, x = by_item.column[a], by_item.value[a]
            for b in range(by_user.start[user], by_user.start[user + 1]):
                j, y = by_user.column[b], by_user.value[b]
                sums[j, 0] += np.float32(1)
                sums[j, 1] += x * y
                sums[j, 2] += x * x
                sums[j, 3] += y * y
        sums[i, 1] = 0
        n = 0
        for j in range(n_items):
            shared, product = sums[j, 0], sums[j, 1]
            if product > 0 and shared >= min_support:
                lengths = np.sqrt(sums[j, 2] * sums[j, 3]) if among_shared else lengths_i[i] * lengths_i[j]
                trust = (shared - 1) / (shared - 1 + shrinkage) if shrinkage > 0 else 1.0
                as_float[0] = product / lengths * trust
                if as_float[0] > 0:
                    keys[row, n] = (np.int64(as_bits[0]) << 32) | j
                    n += 1
        counts[row] = n
        sums[:] = 0


def predict_deviations(
    user: Int64Array, item: Int64Array, by_user: SparseRows, neighbours: Neighbours, *, n_used: int
) -> Float32Array:
    """Return the similarity-weighted mean of the user's values at the item's neighbours, (B,); NaN without any.

    The mean is over the `n_used` nearest neighbours that the user has rated. Item -1 has no neighbours.
    """
    order = np.argsort(user, kind="stable")
    groups = np.append(np.flatnonzero(np.diff(user[order], prepend=-2)), len(user))
    out = np.full(len(user), np.nan, np.float32)

    def task(first: int, last: int) -> None:
        weighted_means(groups[first : last + 1], order, user, item, by_user, neighbours, n_used, out)

    in_threads(task, len(groups) - 1, chunk=USERS_PER_TASK)
    return out


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def weighted_means(
    groups: Int64Array,
    order: Int64Array,
    user: Int64Array,
    item: Int64Array,
    by_user: SparseRows,
    neighbours: Neighbours,
    n_used: int,
    out: Float32Array,
) -> None:
    """Fill `out` by user: rows `order[groups[g]:groups[g + 1]]` belong to one user, whose values are unpacked once."""
    n_items, kept = neighbours.item.shape
    values_i = np.full(n_items, np.nan, np.float32)
    for g in range(len(groups) - 1):
        u = user[order[groups[g]]]
        for row in range(by_user.start[u], by_user.start[u + 1]):
            values_i[by_user.column[row]] = by_user.value[row]
        for row in order[groups[g] : groups[g + 1]]:
            i, used = item[row], 0
            total, weight = np.float32(0), np.float32(0)
            if i < 0:
                continue
            for k in range(kept):
                similarity = neighbours.similarity[i, k]
                if similarity <= 0 or used == n_used:
                    break
                value = values_i[neighbours.item[i, k]]
                if not np.isnan(value):
                    total += similarity * value
                    weight += similarity
                    used += 1
            if used:
                out[row] = total / weight
        for row in range(by_user.start[u], by_user.start[u + 1]):
            values_i[by_user.column[row]] = np.nan


def sum_votes(by_user: SparseRows, voters: SparseRows, scores_bi: Float32Array) -> None:
    """Add to each user's row of `scores_bi` (B, n_items) the similarities of all items to the user's items.

    Args:
        by_user: Items of B users, with the weight of each.
        voters: Similar items of each item; see `Neighbours.voters`.
        scores_bi: Scores to add to.
    """

    def task(first: int, last: int) -> None:
        add_votes(first, last, by_user, voters, scores_bi)

    in_threads(task, len(scores_bi), chunk=USERS_PER_TASK)


@numba.njit(cache=True, nogil=True)
def add_votes(first: int, last: int, by_user: SparseRows, voters: SparseRows, scores_bi: Float32Array) -> None:
    for b in range(first, last):
        for row in range(by_user.start[b], by_user.start[b + 1]):
            j, weight = by_user.column[row], by_user.value[row]
            for vote in range(voters.start[j], voters.start[j + 1]):
                scores_bi[b, voters.column[vote]] += weight * voters.value[vote]
