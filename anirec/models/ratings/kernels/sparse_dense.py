"""Products of a sparse matrix of lists with a dense table of items or users."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import SparseRows, equal_tasks
from anirec.threads import in_threads

TASKS = 512  # per product
COLUMNS_PER_TASK = 2048  # of the weights, so that those of the most frequent items stay in the L2 cache
Array = NDArray[Any]


def score_lists(by_user: SparseRows, weight_ij: Array) -> Array:
    """Return for each user Σ_j x_j w_j, float32 (B, n_items); a negative x_j counts only where w_j is positive.

    Args:
        by_user: Preferences x of the items of B users.
        weight_ij: Weights, float32 (n_items, n_items).
    """
    scores_bi = np.zeros((len(by_user.start) - 1, weight_ij.shape[1]), np.float32)

    def task(first: int, last: int) -> None:
        add_rows(first, last, by_user, weight_ij, scores_bi)

    in_threads(task, weight_ij.shape[1], chunk=COLUMNS_PER_TASK)
    return scores_bi


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def add_rows(first: int, last: int, by_user: SparseRows, weight_ij: Array, scores_bi: Array) -> None:
    """Add the weights of likes, four rows of weights at once, and then those of dislikes."""
    start, column, value = by_user
    zero = np.float32(0)
    for b in range(len(scores_bi)):
        score_i = scores_bi[b, first:last]
        entry, end = start[b], start[b + 1]
        while entry + 4 <= end:
            v, w, x, y = value[entry], value[entry + 1], value[entry + 2], value[entry + 3]
            v_i, w_i = weight_ij[column[entry], first:last], weight_ij[column[entry + 1], first:last]
            x_i, y_i = weight_ij[column[entry + 2], first:last], weight_ij[column[entry + 3], first:last]
            v, w, x, y = max(v, zero), max(w, zero), max(x, zero), max(y, zero)
            for i in range(len(score_i)):
                score_i[i] += (v * v_i[i] + w * w_i[i]) + (x * x_i[i] + y * y_i[i])
            entry += 4
        for e in range(entry, end):
            v, v_i = max(value[e], zero), weight_ij[column[e], first:last]
            for i in range(len(score_i)):
                score_i[i] += v * v_i[i]
        for e in range(start[b], end):
            if value[e] < 0:
                v, v_i = value[e], weight_ij[column[e], first:last]
                for i in range(len(score_i)):
                    score_i[i] += v * max(v_i[i], zero)


def multiply(rows: SparseRows, table_jf: Array, first: int, last: int) -> Array:
    """Return the rows from `first` to before `last` times a table with a row per column, float32 (last - first, F)."""
    out_nf = np.zeros((last - first, table_jf.shape[1]), np.float32)
    bounds = first + equal_tasks(np.diff(rows.start[first : last + 1]), TASKS, least=4096)

    def task(number: int, _: int) -> None:
        begin, end = bounds[number], bounds[number + 1]
        sum_rows(begin, end, rows, table_jf, out_nf[begin - first : end - first])

    in_threads(task, len(bounds) - 1, chunk=1)
    return out_nf


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def sum_rows(first: int, last: int, rows: SparseRows, table_jf: Array, out_nf: Array) -> None:
    """Fill `out_nf` with sums of rows of the table, which are read four at once."""
    start, column, value = rows
    for n in range(first, last):
        out_f = out_nf[n - first]
        entry, end = start[n], start[n + 1]
        while entry + 4 <= end:
            v, w, x, y = value[entry], value[entry + 1], value[entry + 2], value[entry + 3]
            v_f, w_f = table_jf[column[entry]], table_jf[column[entry + 1]]
            x_f, y_f = table_jf[column[entry + 2]], table_jf[column[entry + 3]]
            for f in range(len(out_f)):
                out_f[f] += (v * v_f[f] + w * w_f[f]) + (x * x_f[f] + y * y_f[f])
            entry += 4
        for e in range(entry, end):
            v, v_f = value[e], table_jf[column[e]]
            for f in range(len(out_f)):
                out_f[f] += v * v_f[f]
