"""Interactions in groups: each user watches titles of one group of titles only."""

import numpy as np

from anirec.data.ratings.interactions import Interactions

from ..conftest import N_ITEMS, N_USERS, Planted

N_GROUPS = 4


class Groups(Planted):
    """Half of the titles of a user's group, rated 6 to 10, or 1 by a few; `new_user` and `new_item` have no row."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(1)
        is_own = np.arange(N_USERS)[:, None] % N_GROUPS == np.arange(N_ITEMS) % N_GROUPS
        is_own[self.new_user] = is_own[:, self.new_item] = False
        user, item = np.nonzero(is_own & (random.random(is_own.shape) < 0.5))
        rating = random.integers(6, 11, len(user)).astype(np.float32)
        rating[random.random(len(user)) < 0.03] = 1
        self.train = Interactions(user.astype(np.int32), item.astype(np.int32), rating, N_USERS)
        self.unrated = self.train.where(np.zeros(len(user), dtype=bool))
        self.history, self.given = self.train, self.unrated


def share_of_own_group(scores_ui: np.ndarray, data: Groups, n: int = 3) -> float:
    """Return the share of a user's group among the n best titles that are not in the history."""
    scores_ui[data.train.user, data.train.item] = -np.inf
    best_un = np.argsort(-scores_ui, axis=1)[:, :n]
    users = np.flatnonzero(np.diff(data.train.indptr))
    return float(np.mean(best_un[users] % N_GROUPS == users[:, None] % N_GROUPS))
