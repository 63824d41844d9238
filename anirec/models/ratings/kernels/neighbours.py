"""Kernels of item-item collaborative filtering: similarities and predictions.

Ratings are compressed sparse rows by user and by item. Neighbours are tables of shape (n_items, kept), nearest first,
with similarity 0 where an item has fewer. Memory is O(ratings + items x kept).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from anirec.models.ratings.kernels.item_pairs import Occurrences, occurrences, pair_counts
from anirec.models.ratings.kernels.sparse_rows import SparseRows, count_columns, equal_tasks, sum_columns
from anirec.threads import in_threads

ITEMS_PER_TASK = 128
USERS_PER_TASK = 64
TASKS = 512
SIMILARITIES_AT_ONCE = 1 << 25  # 128 MB
AT_ONCE = 64  # items; the candidates of as many fit in the L2 cache
FEW = 8  # keys that are sorted
SMALLEST = np.int64(1 << 32)  # a key above those of similarity 0
Array = NDArray[Any]
FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN is preserved
Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]


class Offsets(NamedTuple):
    """A baseline of ratings: user[u] + item[i]. Both are float32."""

    user: Float32Array
    item: Float32Array

    def deviations(self, by_user: SparseRows) -> SparseRows:
        """Return the ratings minus their baselines."""
        value = np.empty_like(by_user.value)
        subtract(by_user, self, value)
        return by_user._replace(value=value)


@numba.njit(cache=True, nogil=True)
def subtract(by_user: SparseRows, around: Offsets, value: Float32Array) -> None:
    for u in range(len(by_user.start) - 1):
        for row in range(by_user.start[u], by_user.start[u + 1]):
            value[row] = by_user.value[row] - (around.user[u] + around.item[by_user.column[row]])


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


@dataclass(frozen=True)
class Similarity:
    """How similar two columns x and y are: Σ_u x_u y_u over shared users, divided by the norms of x and y.

    Args:
        among_shared: Whether norms are over the shared users; otherwise, over all users.
        shrinkage: Similarities are multiplied by (n - 1) / (n - 1 + shrinkage) for n shared users.
        min_support: Minimum number of shared users.
    """

    among_shared: bool
    shrinkage: float
    min_support: int


class NearestItems:
    """The most similar items of each item, found by comparing each pair of items once.

    Items are numbered by popularity. Each task compares some items with all more popular ones. Candidates are int64
    keys: the similarity in the upper 32 bits, the item in the lower 32. Keys sort by similarity, since the bits of
    positive floats have the same order as the floats. As all keys of an item differ, the best are the same in any
    order.

    Args:
        by_user: Values of each user's items.
        n_items: Number of items.
        similarity: Similarity of two items.
        keep: Number of similar items to keep.
    """

    def __init__(self, by_user: SparseRows, n_items: int, similarity: Similarity, *, keep: int) -> None:
        self.similarity, self.keep = similarity, min(keep, n_items)
        self.item_of_rank = np.argsort(-count_columns(by_user.column, n_items), kind="stable").astype(np.int32)
        rank_of_item = np.empty_like(self.item_of_rank)
        rank_of_item[self.item_of_rank] = np.arange(n_items, dtype=np.int32)
        self.by_user = by_user.with_columns(rank_of_item)
        self.of_item = occurrences(self.by_user, n_items)
        self.lengths = np.sqrt(sum_columns(self.by_user.column, self.by_user.value, n_items, 2)).astype(np.float32)
        # Candidates: up to twice as many as are kept; then the worse half is dropped.
        self.keys = np.empty((n_items, min(2 * self.keep, n_items) + AT_ONCE), np.int64)
        self.n_keys = np.zeros(n_items, np.int64)
        self.lowest = np.full(n_items, SMALLEST)

    def work(self) -> Array:
        """Return the number of comparisons of each item by popularity, int64 (n_items,)."""
        return pair_counts(self.of_item)

    def compare(self, first: int, last: int) -> None:
        """Compare the items from `first` to before `last`, by popularity, with all more popular items."""
        n_items = len(self.keys)
        at_once = max(1, min(SIMILARITIES_AT_ONCE // max(last, 1), n_items))
        tile = np.empty((min(at_once, last - first), last), np.float32)
        work = self.work()
        rule = (self.similarity.among_shared, self.similarity.shrinkage, self.similarity.min_support)
        for begin in range(first, last, at_once):
            end = min(begin + at_once, last)
            rows = begin + equal_tasks(work[begin:end], TASKS, least=1 << 20)
            columns = equal_tasks(np.minimum(end - np.arange(end), end - begin), TASKS, least=1 << 19)

            def compare_rows(number: int, _: int, begin: int = begin, rows: Array = rows) -> None:
                fill_similarities(
                    rows[number], rows[number + 1], begin, self.by_user, self.of_item, self.lengths, *rule, tile
                )

            def keep_best(number: int, _: int, begin: int = begin, end: int = end, columns: Array = columns) -> None:
                between = (columns[number], columns[number + 1])
                bits = tile.view(np.int32)
                collect(*between, begin, end, bits, self.item_of_rank, self.keep, self.keys, self.n_keys, self.lowest)

            in_threads(compare_rows, len(rows) - 1, chunk=1)
            in_threads(keep_best, len(columns) - 1, chunk=1)

    def merge(self, keys: Array, n_keys: Array) -> None:
        """Add the candidates that another process has found."""
        add_keys(keys, n_keys, self.keep, self.keys, self.n_keys, self.lowest)

    def best(self) -> "Neighbours":
        """Return the most similar items, among those with positive similarity."""
        shape = (len(self.keys), self.keep)
        item, similarity = np.zeros(shape, np.int32), np.zeros(shape, np.float32)

        def task(first: int, last: int) -> None:
            of_task = slice(first, last)
            self.keys[of_task][np.arange(self.keys.shape[1]) >= self.n_keys[of_task, None]] = 0
            best = np.sort(self.keys[of_task], axis=1)[:, ::-1][:, : self.keep]  # with vector instructions
            item[self.item_of_rank[of_task]] = best & 0xFFFFFFFF
            similarity[self.item_of_rank[of_task]] = (best >> 32).astype(np.int32).view(np.float32)

        in_threads(task, len(item), chunk=ITEMS_PER_TASK)
        used = max(1, int(np.count_nonzero(similarity.any(axis=0))))
        if used < self.keep:
            item, similarity = item[:, :used].copy(), similarity[:, :used].copy()
        return Neighbours(item, similarity)


def find_neighbours(by_user: SparseRows, n_items: int, similarity: Similarity, *, keep: int) -> "Neighbours":
    """Return the `keep` most similar items of each item, among those with positive similarity."""
    nearest = NearestItems(by_user, n_items, similarity, keep=keep)
    nearest.compare(0, n_items)
    return nearest.best()


@intrinsic
def add_products(_: Any, sums: Any, j: Any, x: Any, square: Any, y: Any) -> Any:
    """Add (1, x y, x², y²) to `sums[j]` by one vector instruction, which LLVM does not find by itself."""
    signature = types.void(sums, j, x, square, y)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        j, x, square, y = arguments[1:]
        int64, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), 4)
        first = builder.shl(builder.zext(j, int64), ir.Constant(int64, 2))
        place = builder.bitcast(builder.gep(array.data, [first]), vector.as_pointer())
        left = right = ir.Constant(vector, [1.0] * 4)
        for k, value in ((1, x), (2, square), (3, y)):
            left = builder.insert_element(left, value, ir.Constant(ir.IntType(32), k))
        for k in (1, 3):
            right = builder.insert_element(right, y, ir.Constant(ir.IntType(32), k))
        product = builder.fmul(left, right, flags=("contract",))
        builder.store(builder.fadd(builder.load(place, align=4), product, flags=("contract",)), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def fill_similarities(
    first: int,
    last: int,
    tile_first: int,
    by_user: SparseRows,
    of_item: Occurrences,
    lengths_i: Array,
    among_shared: bool,
    shrinkage: float,
    min_support: int,
    tile: Array,
) -> None:
    """Fill row i - tile_first of `tile` with the similarities of item i to all items before it, 0 where there is none.

    One row of sums, 16 bytes per item, fits in the L2 cache.
    """
    sums, one = np.zeros((last, 4), np.float32), np.float32(1)
    damping, support = np.float32(shrinkage), np.float32(min_support)
    for i in range(first, last):
        for a in range(of_item.start[i], of_item.start[i + 1]):
            begin = by_user.start[of_item.user[a]]
            end = begin + of_item.rank[a]
            x = by_user.value[end]
            square = x * x
            columns, values = by_user.column[begin:end], by_user.value[begin:end]
            for k in range(len(columns)):
                add_products(sums, np.uint32(columns[k]), x, square, values[k])  # type: ignore[call-arg]
        row, length = tile[i - tile_first], lengths_i[i]
        for j in range(i):
            shared, product = sums[j, 0], sums[j, 1]
            lengths = np.sqrt(sums[j, 2] * sums[j, 3]) if among_shared else length * lengths_i[j]
            trusted = shared - one if damping > 0 else one
            similarity = product * trusted / (lengths * (trusted + damping))
            row[j] = similarity if (product > 0) & (shared >= support) else np.float32(0)
        sums[:i] = 0


@numba.njit(cache=True, nogil=True)
def collect(
    first: int,
    last: int,
    tile_first: int,
    tile_last: int,
    tile: Array,
    item_of_rank: Array,
    keep: int,
    keys: Array,
    n_keys: Array,
    lowest: Array,
) -> None:
    """Add the candidates of the items from `first` to before `last` in a tile: those before and those after each.

    Runs of `AT_ONCE` similarities without a candidate are skipped after a comparison of all (SIMD). In the others, each
    key is written after the candidates, whose number grows if it is one. A branch would be predicted wrongly for every
    eighth pair, which takes longer than to write all keys.
    """
    capacity = keys.shape[1]
    for i in range(max(first, tile_first), min(last, tile_last)):
        row, keys_k, n, low = tile[i - tile_first], keys[i], n_keys[i], lowest[i]
        for begin in range(0, i, AT_ONCE):
            end, bits, is_any = min(begin + AT_ONCE, i), low >> 32, False
            for j in range(begin, end):
                is_any |= row[j] >= bits
            if not is_any:
                continue
            if n + AT_ONCE > capacity:
                n, low = move_best(keys_k, n, keep)
            for j in range(begin, end):
                keys_k[n] = (np.int64(row[j]) << 32) | item_of_rank[j]
                n += keys_k[n] > low
        n_keys[i], lowest[i] = n, low
    block = np.empty((AT_ONCE, AT_ONCE), np.int32)  # transposed, so that candidates of an item are written in sequence
    for begin in range(first, last, AT_ONCE):
        end = min(begin + AT_ONCE, last)
        for start in range(max(begin + 1, tile_first), tile_last, AT_ONCE):
            stop = min(start + AT_ONCE, tile_last)
            for i in range(start, stop):
                row = tile[i - tile_first]
                for j in range(begin, min(end, i)):
                    block[j - begin, i - start] = row[j]
            for j in range(begin, min(end, stop - 1)):
                row, keys_k, n, low = block[j - begin], keys[j], n_keys[j], lowest[j]
                bits, is_any = low >> 32, False
                for i in range(max(start, j + 1), stop):
                    is_any |= row[i - start] >= bits
                if not is_any:
                    continue
                if n + AT_ONCE > capacity:
                    n, low = move_best(keys_k, n, keep)
                for i in range(max(start, j + 1), stop):
                    keys_k[n] = (np.int64(row[i - start]) << 32) | item_of_rank[i]
                    n += keys_k[n] > low
                n_keys[j], lowest[j] = n, low


@numba.njit(cache=True, nogil=True)
def add_keys(others: Array, n_others: Array, keep: int, keys: Array, n_keys: Array, lowest: Array) -> None:
    """Add the candidates that another process has found."""
    for i in range(len(others)):
        for k in range(n_others[i]):
            if n_keys[i] == keys.shape[1]:
                n_keys[i], lowest[i] = move_best(keys[i], n_keys[i], keep)
            keys[i, n_keys[i]] = others[i, k]
            n_keys[i] += others[i, k] > lowest[i]


@numba.njit(cache=True, nogil=True)
def move_best(keys: Array, n: int, keep: int) -> tuple[int, int]:
    """Move the best of the first n keys to the front: at least `keep` of them, and usually at most a quarter more.

    The keys differ. A quickselect that may stop early takes half the time of one that does not.

    Returns:
        The number of keys at the front, and the least of them.
    """
    first, last = 0, n  # the border is between; keys before `first` are better, and those from `last` worse
    while last - first > FEW:
        a, b, c = keys[first], keys[(first + last) // 2], keys[last - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        border = first
        for k in range(first, last):
            key = keys[k]
            keys[k] = keys[border]
            keys[border] = key
            border += key >= pivot
        if border < keep:
            first = border
        elif border > keep + keep // 4:
            last = border
        else:
            return border, pivot
    for k in range(first + 1, last):
        key, place = keys[k], k
        while place > first and keys[place - 1] < key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key
    return keep, keys[keep - 1]


@numba.njit(cache=True, nogil=True)
def keep_largest(weight_j: Array, keys: Array, kept_k: Array, largest_k: Array) -> None:
    """Write the largest positive weights and their places, largest first; 0 where there are fewer than K.

    Args:
        weight_j: Weights, float32 (n,).
        keys: Memory for n numbers, int64.
        kept_k: Places to write, int32 (K,).
        largest_k: Weights to write, float32 (K,).
    """
    bits, n, keep = weight_j.view(np.int32), 0, len(kept_k)
    for j in range(len(weight_j)):
        if weight_j[j] > 0:
            keys[n] = (np.int64(bits[j]) << 32) | j
            n += 1
    if n > keep:
        n, _ = move_best(keys, n, keep)
    best = np.sort(keys[:n])[::-1][:keep]
    kept_k[:], largest_k[:] = 0, 0
    for k in range(len(best)):
        kept_k[k] = best[k] & 0xFFFFFFFF
        largest_k[k] = weight_j[kept_k[k]]


def predict_deviations(
    user: Int64Array, item: Int64Array, by_user: SparseRows, around: Offsets, neighbours: Neighbours, *, n_used: int
) -> Float32Array:
    """Return the similarity-weighted mean of the user's deviations at the item's neighbours, (B,); NaN without any.

    The mean is over the `n_used` nearest neighbours that the user has rated. Item -1 has no neighbours.

    Args:
        user: User of each prediction, (B,).
        item: Item of each prediction, (B,).
        by_user: Ratings.
        around: What is subtracted from the ratings.
        neighbours: Nearest items of each item.
        n_used: Maximum number of neighbours.
    """
    order = np.argsort(user, kind="stable")
    groups = np.append(np.flatnonzero(np.diff(user[order], prepend=-2)), len(user))
    out = np.full(len(user), np.nan, np.float32)

    def task(first: int, last: int) -> None:
        weighted_means(groups[first : last + 1], order, user, item, by_user, around, neighbours, n_used, out)

    in_threads(task, len(groups) - 1, chunk=USERS_PER_TASK)
    return out


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def weighted_means(
    groups: Int64Array,
    order: Int64Array,
    user: Int64Array,
    item: Int64Array,
    by_user: SparseRows,
    around: Offsets,
    neighbours: Neighbours,
    n_used: int,
    out: Float32Array,
) -> None:
    """Fill `out` by user: rows `order[groups[g]:groups[g + 1]]` are of one user, whose deviations are unpacked once."""
    n_items, kept = neighbours.item.shape
    values_i = np.full(n_items, np.nan, np.float32)
    for g in range(len(groups) - 1):
        u = user[order[groups[g]]]
        for row in range(by_user.start[u], by_user.start[u + 1]):
            i = by_user.column[row]
            values_i[i] = by_user.value[row] - (around.user[u] + around.item[i])
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
