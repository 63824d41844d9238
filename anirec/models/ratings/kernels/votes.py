"""Ranking scores as sums of votes: each item of a user's history votes for the items that are similar to it."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import SparseRows
from anirec.threads import in_threads

USERS_PER_TASK = 16
Array = NDArray[Any]


class Expected(NamedTuple):
    """What `Baseline.preferences` compares ratings with, float32; `item` are the offsets (n_items + 1,).

    `has_ratings` is false for implicit feedback. A rating that is lower than expected by more than `margin` of the
    range counts `disliked`. `damping` is float64.
    """

    has_ratings: bool
    mean: np.float32
    lowest: np.float32
    highest: np.float32
    item: Array
    margin: np.float32
    disliked: np.float32
    damping: float


def sum_votes(users: Array, history: SparseRows, expected: Expected, voters: SparseRows, first_i: Array) -> Array:
    """Return `first_i` plus, over the items j of each user's history, preference of j x votes of j, (B, n_items).

    Args:
        users: Rows of the history, int64 (B,).
        history: Ratings of each user's items.
        expected: What the preferences are relative to.
        voters: In row j, the items that j votes for, and the votes.
        first_i: What is added to each user's scores, float32 (n_items,).
    """
    scores_bi = np.empty((len(users), len(first_i)), np.float32)

    def task(first: int, last: int) -> None:
        add_votes(users[first:last], history, expected, voters, first_i, scores_bi[first:last])

    in_threads(task, len(users), chunk=USERS_PER_TASK)
    return scores_bi


@numba.njit(cache=True, nogil=True)
def add_votes(
    users: Array, history: SparseRows, expected: Expected, voters: SparseRows, first_i: Array, scores_bi: Array
) -> None:
    for b in range(len(users)):
        scores_i, begin, end = scores_bi[b], history.start[users[b]], history.start[users[b] + 1]
        scores_i[:] = first_i
        items, preference = history.column[begin:end], preferences(begin, end, history, expected)
        for entry in range(len(items)):
            j, weight = items[entry], preference[entry]
            voted = voters.column[voters.start[j] : voters.start[j + 1]]
            votes = voters.value[voters.start[j] : voters.start[j + 1]]
            for vote in range(len(voted)):
                scores_i[np.uint32(voted[vote])] += weight * votes[vote]  # a signed index may be negative


@numba.njit(cache=True, nogil=True)
def preferences(begin: int, end: int, history: SparseRows, expected: Expected) -> Array:
    """Return the preferences of one user's entries: the operations of `Baseline.preferences`, so that bits are equal.

    torch would take as long for the blocks of a few users as the votes themselves.
    """
    out, total, n = np.ones(end - begin, np.float32), 0.0, 0
    if not expected.has_ratings:
        return out
    for entry in range(begin, end):
        residual = history.value[entry] - expected.mean - expected.item[history.column[entry]]
        if not np.isnan(residual):
            total += np.float64(residual)
            n += 1
    mean = expected.mean + np.float32(total / (n + expected.damping))
    middle, span = (expected.lowest + expected.highest) / np.float32(2), expected.highest - expected.lowest
    for entry in range(begin, end):
        usual = max(mean + expected.item[history.column[entry]], middle)
        excess = (history.value[entry] - usual) / (span if span > 0 else np.float32(1))
        if excess < -expected.margin:
            out[entry - begin] = expected.disliked
        elif not np.isnan(excess):
            out[entry - begin] = np.float32(1) + excess
    return out
