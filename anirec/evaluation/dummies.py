"""Dummies of rating runs, which a model must beat: damped means of the items, and lists of the most popular items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anirec.evaluation.top_items import UserRows, flat_positions

DAMPING = 5.0  # ratings at the global mean added to every item
USERS_AT_ONCE = 4096
PLACES = 8  # the first try looks at this many times k places of the popularity list


def damped_means(item: NDArray[np.integer], rating: NDArray[np.floating], n_items: int) -> NDArray[np.float64]:
    """Return the damped mean rating of every item, and the global mean in a last entry for index -1, (n_items + 1,).

    >>> damped_means(np.array([0, 0, 1]), np.array([9.0, 9.0, 6.0]), 3).round(2)
    array([8.29, 7.67, 8.  , 8.  ])
    """
    mean = float(rating.mean(dtype=np.float64))
    count_i, total_i = (np.bincount(item, weights=weights, minlength=n_items + 1) for weights in (None, rating))
    return (total_i + DAMPING * mean) / (count_i + DAMPING)


def popular_lists(
    order: NDArray[np.int64], users: NDArray[np.int64], seen: Sequence[UserRows], *, n_items: int, k: int
) -> NDArray[np.int64]:
    """Return the first k items of one list that each user has not seen, int64 (U, k); -1 where none is left.

    Args:
        order: Items, the most popular first, (C,).
        users: User indices, (U,), >= 0.
        seen: Interactions whose items are left out of their user's list.
        n_items: Size of the catalogue.
        k: Length of the lists.
    """
    place_i = np.full(n_items, len(order))
    place_i[order] = np.arange(len(order))
    items_uk = np.full((len(users), k), -1, dtype=np.int64)
    for start in range(0, len(users), USERS_AT_ONCE):
        row, depth = np.arange(start, min(start + USERS_AT_ONCE, len(users))), PLACES * k
        while len(row):
            unseen_up = np.ones((len(row), min(depth, len(order))), dtype=bool)
            for rows in seen:
                user, item = np.divmod(flat_positions(rows, users[row], n_items), n_items)
                is_early = place_i[item] < unseen_up.shape[1]
                unseen_up[user[is_early], place_i[item[is_early]]] = False
            rank_up = unseen_up.cumsum(axis=1)
            user, place = np.nonzero(unseen_up & (rank_up <= k))
            items_uk[row[user], rank_up[user, place] - 1] = order[place]
            row = row[(rank_up[:, -1] < k) & (depth < len(order))] if len(order) else row[:0]
            depth *= 4
    return items_uk
