"""Kernels of `top_items` on the CPU: mark what users have seen, and select their best unseen items in one pass."""

from typing import Any

import numba
import numpy as np

ITEMS_AT_ONCE = 64  # scores that are compared with the k-th best at once (SIMD)


@numba.njit(cache=True, nogil=True)
def mark_items(is_marked_bi: Any, users: Any, item: Any, indptr: Any) -> None:
    """Set the flags of the items of each user; the items of user u are `item[indptr[u]:indptr[u + 1]]`."""
    for b in range(len(users)):
        for row in range(indptr[users[b]], indptr[users[b] + 1]):
            is_marked_bi[b, item[row]] = True


@numba.njit(cache=True, nogil=True)
def keep_unseen(items_bk: Any, best_bk: Any, seen_bi: Any, out_items_bk: Any, out_best_bk: Any) -> None:
    """Copy the full lists of the step before that hold no item seen by now: they are the lists of this step, too."""
    for b in range(len(items_bk)):
        is_complete = True
        for item in items_bk[b]:
            is_complete &= item >= 0 and not seen_bi[b, item]
        if is_complete:
            out_items_bk[b], out_best_bk[b] = items_bk[b], best_bk[b]


@numba.njit(cache=True, nogil=True)
def select_best(scores_rc: Any, is_shared: bool, seen_bi: Any, candidates: Any, items_bk: Any, best_bk: Any) -> None:
    """Insert each unseen item that is better than the k-th best so far; NaN is better than any number.

    A list that is full at the start is left as it is.

    Args:
        scores_rc: Scores of the candidates, float32, one row per user; if shared, one row for all users, best first.
        is_shared: See above.
        seen_bi: Which items a user has seen, bool (B, n_items).
        candidates: Item of each column of the scores, (C,).
        items_bk: Output, filled with -1 or complete.
        best_bk: Output, filled with -inf.
    """
    n_candidates, k = len(candidates), items_bk.shape[1]
    for b in range(len(items_bk)):
        scores, items, best = scores_rc[0 if is_shared else b], items_bk[b], best_bk[b]
        if items[k - 1] >= 0:
            continue
        for start in range(0, n_candidates, ITEMS_AT_ONCE):
            stop, lowest, is_any_better = min(start + ITEMS_AT_ONCE, n_candidates), best[k - 1], False
            for c in range(start, stop):
                is_any_better |= not (scores[c] <= lowest)
            if not is_any_better:
                if is_shared:
                    break
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
