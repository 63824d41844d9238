"""Random walks from item to user to item: the likeliest starts of the walks that end at each item."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.item_pairs import Occurrences, entries_beside
from anirec.models.ratings.kernels.neighbours import keep_largest
from anirec.models.ratings.kernels.sparse_rows import SparseRows, equal_tasks
from anirec.threads import in_threads

TASKS = 512
LEAST = 1 << 20  # operations of a task
Array = NDArray[Any]


def walk(
    first: int,
    last: int,
    by_user: SparseRows,
    of_item: Occurrences,
    from_j: Array,
    to_i: Array,
    neighbour_ik: Array,
    weight_ik: Array,
) -> None:
    """Fill the rows from `first` to before `last` of the tables with the largest W_ji = from_j to_i Σ_u x_uj x_ui.

    Args:
        first: First row.
        last: Row after the last one.
        by_user: x, with values >= 0.
        of_item: Its occurrences.
        from_j: Factors of the items where a walk starts, float64 (n_items,).
        to_i: Factors of the items where it ends, float64 (n_items,).
        neighbour_ik: Items j of each item i, int32 (n_items, K); those with the largest weights.
        weight_ik: Their weights, largest first, float32 (n_items, K).
    """
    bounds = first + equal_tasks(entries_beside(by_user, of_item)[first:last], TASKS, least=LEAST)

    def task(number: int, _: int) -> None:
        begin, end = bounds[number], bounds[number + 1]
        sum_walks(begin, end, by_user, of_item, from_j, to_i, neighbour_ik, weight_ik)

    in_threads(task, len(bounds) - 1, chunk=1)


@numba.njit(cache=True, nogil=True)
def sum_walks(
    first: int,
    last: int,
    by_user: SparseRows,
    of_item: Occurrences,
    from_j: Array,
    to_i: Array,
    neighbour_ik: Array,
    weight_ik: Array,
) -> None:
    n_items = len(from_j)
    sum_j, weight_j, keys = np.zeros(n_items), np.zeros(n_items, np.float32), np.empty(n_items, np.int64)
    for i in range(first, last):
        for a in range(of_item.start[i], of_item.start[i + 1]):
            u = of_item.user[a]
            x = np.float64(by_user.value[by_user.start[u] + of_item.rank[a]])
            if x > 0:
                for entry in range(by_user.start[u], by_user.start[u + 1]):
                    sum_j[by_user.column[entry]] += x * by_user.value[entry]
        sum_j[i] = 0
        for j in range(n_items):
            weight_j[j] = sum_j[j] * from_j[j] * to_i[i] if sum_j[j] > 0 else 0.0
            sum_j[j] = 0
        keep_largest(weight_j, keys, neighbour_ik[i], weight_ik[i])
