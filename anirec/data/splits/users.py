"""Splits in which part of what users have done is only ever a history: known, but no answer to train or test on.

For models that see a user through their history, and so can answer for users who were not in training.
"""

import numpy as np
import polars as pl

from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares, parts_in_order
from anirec.errors import UserError
from anirec.settings import PositiveInt, PositiveShare, Seed, Share

GIVEN = 3  # a part beside TRAIN, VAL and TEST


class Masked(Split):
    """Some ratings at random are answers, to train, validate and test on; all others are histories.

    Args:
        samples: How many are answers.
        test: Share of them; 0 < test < 1.
        val: Likewise; 0 validates nothing.
        seed: Of the split alone. Results over several are averaged.

    Source: the MALSugoi project, whose network saw 15,000 masked ratings, 80:20.
    """

    replicates = frozenset({"seed"})

    def __init__(self, *, samples: PositiveInt, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.samples, self.test, self.val, self.seed = samples, test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        if self.samples > len(rows):
            raise UserError(f"split.samples={self.samples}: there are {len(rows)} ratings only")
        order = np.random.default_rng(self.seed).permutation(len(rows))
        parts = np.full(len(rows), GIVEN, dtype=np.uint8)
        parts[order[: self.samples]] = TRAIN
        parts[order[: round(self.test * self.samples)]] = TEST
        parts[order[round(self.test * self.samples) :][: round(self.val * self.samples)]] = VAL
        return parts


class WholeUsers(Split):
    """Some users test, others validate, and none of their ratings trains: of each, a share is given as their history.

    Args:
        test: Share of all users; 0 < test < 1.
        val: Likewise; 0 validates nothing.
        given: Share of such a user's ratings that is given, rounded down; 0 <= given < 1.
        seed: Of the split alone. Results over several are averaged.
    """

    requires = frozenset({"user_id"})
    replicates = frozenset({"seed"})

    def __init__(self, *, test: PositiveShare, val: Share, given: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.given, self.seed = test, val, given, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        random = np.random.default_rng(self.seed)
        users, of_row, n_rows = np.unique(rows["user"].to_numpy(), return_inverse=True, return_counts=True)
        order = random.permutation(len(users))
        parts = parts_in_order(order, round(self.test * len(users)), round(self.val * len(users)))[of_row]
        # Each user's rows in a random order: the first ones are given.
        by_user = np.lexsort((random.random(len(rows)), of_row))
        place = np.empty(len(rows), dtype=np.int64)
        place[by_user] = np.arange(len(rows)) - np.repeat(n_rows.cumsum() - n_rows, n_rows)
        is_given = (parts != TRAIN) & (place < np.floor(self.given * n_rows)[of_row])
        parts[is_given] = GIVEN
        return parts

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> np.ndarray:
        return ~np.isin(unrated["user"], rated["user"].to_numpy()[parts != TRAIN])
