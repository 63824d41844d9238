"""Filters: drop users and items with too few ratings."""

import numpy as np
from numpy.typing import NDArray


def k_core(user: NDArray[np.int32], item: NDArray[np.int32], *, min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Which rows remain when every user has `min_user` rows and every item `min_item`, all (n,).

    Dropping an item can leave a user with too few rows and so on: repeated until both hold.

    >>> k_core(np.array([0, 0, 1]), np.array([0, 1, 1]), min_user=2, min_item=1)
    array([ True,  True, False])
    """
    kept = np.ones(len(user), dtype=bool)
    while True:
        users, items = np.bincount(user[kept]), np.bincount(item[kept])
        few = kept.copy()
        few[kept] = (users[user[kept]] < min_user) | (items[item[kept]] < min_item)
        if not few.any():
            return kept
        kept &= ~few
