"""Kernels of `top_items` on the CPU: the k best unseen items of each user, in one pass over the scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.threads import in_threads

if TYPE_CHECKING:
    from anirec.evaluation.top_items import UserRows

USERS_PER_TASK = 32
ITEMS_AT_ONCE = 64  # scores that are compared with the k-th best at once (SIMD)


def keep_best_unseen(
    scores_rc: NDArray[np.float32],
    users: NDArray[np.int64],
    seen: Sequence["UserRows"],
    candidates: NDArray[np.int64],
    n_items: int,
    items_bk: NDArray[np.int32],
    best_bk: NDArray[np.float32],
) -> None:
    """Write the best unseen candidates and their scores; the memory is one byte per item and user of a task.

    Args:
        scores_rc: Scores of the candidates, one row per user, or one row for all users.
        users: User indices, (B,).
        seen: Interactions whose items are left out.
        candidates: Item of each column of the scores, (C,).
        n_items: Size of the catalogue.
        items_bk: Output, filled with -1.
        best_bk: Output, filled with -inf.
    """

    def task(first: int, last: int) -> None:
        seen_bi = np.zeros((last - first, n_items), dtype=np.bool_)
        for rows in seen:
            mark_items(seen_bi, users[first:last], rows.item, rows.indptr)
        own_rc = scores_rc if len(scores_rc) == 1 else scores_rc[first:last]
        select_best(own_rc, seen_bi, candidates, items_bk[first:last], best_bk[first:last])

    in_threads(task, len(users), chunk=USERS_PER_TASK)


@numba.njit(cache=True, nogil=True)
def mark_items(is_marked_bi: Any, users: Any, item: Any, indptr: Any) -> None:
    """Set the flags of the items of each user."""
    for b in range(len(users)):
        for row in range(indptr[users[b]], indptr[users[b] + 1]):
            is_marked_bi[b, item[row]] = True


@numba.njit(cache=True, nogil=True)
def select_best(scores_rc: Any, seen_bi: Any, candidates: Any, items_bk: Any, best_bk: Any) -> None:
    """Insert each unseen item that is better than the k-th best so far; NaN is better than any number."""
    n_candidates, k = len(candidates), items_bk.shape[1]
    for b in range(len(items_bk)):
        scores, items, best = scores_rc[b if len(scores_rc) > 1 else 0], items_bk[b], best_bk[b]
        for start in range(0, n_candidates, ITEMS_AT_ONCE):
            stop, lowest, is_any_better = min(start + ITEMS_AT_ONCE, n_candidates), best[k - 1], False
            for c in range(start, stop):
                is_any_better |= not (scores[c] <= lowest)
            if not is_any_better:
                continue
            for c in range(start, stop):
                score = scores[c]
                if not (best[k - 1] < score or np.isnan(score)) or seen_bi[b, candidates[c]]:
                    continue
                place = k - 1
                while place > 0 and (best[place - 1] < score or np.isnan(score)):
                    best[place], items[place] = best[place - 1], items[place - 1]
                    place -= 1
                best[place], items[place] = score, candidates[c]
