"""Dummies of rating runs, which a model must beat: damped means of the items, lists of popular or random items."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from anirec.evaluation.top_items import TopItems, UserRows, top_items

DAMPING = 5.0  # ratings at the global mean added to every item
USERS_AT_ONCE = 4096
SHUFFLED_AT_ONCE = 256  # users, each with an order of its own
ROWS_AT_ONCE = 1 << 20


def damped_means(item: NDArray[np.integer], rating: NDArray[np.floating], n_items: int) -> NDArray[np.float64]:
    """Return the damped mean rating of every item, and the global mean in a last entry for index -1, (n_items + 1,).

    >>> damped_means(np.array([0, 0, 1]), np.array([9.0, 9.0, 6.0]), 3).round(2)
    array([8.29, 7.67, 8.  , 8.  ])
    """
    count_i, total_i = np.zeros(n_items + 1), np.zeros(n_items + 1)
    for start in range(0, len(item), ROWS_AT_ONCE):  # bincount copies its arguments in 64 bits
        rows = slice(start, start + ROWS_AT_ONCE)
        count_i += np.bincount(item[rows], minlength=n_items + 1)
        total_i += np.bincount(item[rows], weights=rating[rows], minlength=n_items + 1)
    return (total_i + DAMPING * total_i.sum() / count_i.sum()) / (count_i + DAMPING)


def popular_lists(
    count_i: NDArray[np.integer],
    users: NDArray[np.int64],
    seen: Sequence[UserRows],
    *,
    k: int,
    candidates: NDArray[np.int64] | None = None,
) -> TopItems:
    """Rank the candidates by their number of training ratings, for each user without the items that they have seen.

    Args:
        count_i: Number of training ratings of each item, (I,).
        users: User indices, (U,), >= 0.
        seen: Interactions whose items are left out of their user's list.
        k: Length of the lists.
        candidates: Indices of the items to rank; equally popular ones are ordered as here. None for all items.
    """
    popularity_i = torch.from_numpy(count_i.astype(np.float32))
    return top_items(
        lambda some: popularity_i.expand(len(some), -1),
        users,
        seen,
        k=k,
        block=USERS_AT_ONCE,
        candidates=candidates,
    )


def shuffled_lists(
    n_items: int,
    users: NDArray[np.int64],
    seen: Sequence[UserRows],
    *,
    k: int,
    candidates: NDArray[np.int64],
    seed: int,
) -> TopItems:
    """Rank the candidates in a random order of its own for each user, without the items that the user has seen.

    Args:
        n_items: Number of all items.
        users: User indices, (U,), >= 0.
        seen: Interactions whose items are left out of their user's list.
        k: Length of the lists.
        candidates: Indices of the items to rank.
        seed: Seed of the orders.
    """
    random = np.random.default_rng(seed)

    def score_items(some: torch.Tensor) -> torch.Tensor:
        scores_bi = torch.zeros(len(some), n_items)
        scores_bi[:, candidates] = torch.from_numpy(random.random((len(some), len(candidates)), dtype=np.float32))
        return scores_bi

    return top_items(score_items, users, seen, k=k, block=SHUFFLED_AT_ONCE, candidates=candidates)
