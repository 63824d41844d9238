"""Splits by user: some rows of every user, a sample of ratings with all others as history, or whole users.

The last two add a part GIVEN: ratings that are known history of a user, but never a target in training or test. They
are for models that describe a user by their history and can therefore predict for users outside training.
"""

import numpy as np
import polars as pl

from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares, parts_in_order
from anirec.errors import UserError
from anirec.settings import Count, PositiveInt, PositiveShare, Seed, Share


class PerUser(Split):
    """Hold out a fixed number of random rows of each user; the CS 4120 protocol uses one for test, one for validation.

    All rows of a user with no row left for training are training rows.

    Args:
        test: Test rows per user; at least 1.
        val: Validation rows per user; 0 for none.
        seed: Seed of the split only.
    """

    requires = frozenset({"user_id"})
    replicates = frozenset({"seed"})

    def __init__(self, *, test: PositiveInt, val: Count, seed: Seed) -> None:
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        user = rows["user"].to_numpy()
        noise = np.random.default_rng(self.seed).random(len(user))
        order = np.lexsort((noise, user))
        _, start, count = np.unique(user[order], return_index=True, return_counts=True)
        rank = np.arange(len(user)) - np.repeat(start, count)
        enough = np.repeat(count > self.test + self.val, count)
        parts = np.zeros(len(user), dtype=np.uint8)
        parts[order[enough & (rank < self.test + self.val)]] = VAL
        parts[order[enough & (rank < self.test)]] = TEST
        return parts


GIVEN = 3  # a fourth part, next to TRAIN, VAL and TEST


class Masked(Split):
    """Draw a random sample of ratings to train, validate and test on; all other ratings are known history.

    Args:
        samples: Number of ratings in the sample.
        test: Share of the sample for test; 0 < test < 1.
        val: Share of the sample for validation; 0 for none.
        seed: Seed of the split only. Results over several may be averaged.

    Source: the MALSugoi project, whose network used 15,000 masked ratings, split 80:20.
    """

    replicates = frozenset({"seed"})

    def __init__(self, *, samples: PositiveInt, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.samples, self.test, self.val, self.seed = samples, test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        if self.samples > len(rows):
            raise UserError(f"split.samples={self.samples}: expected at most {len(rows)}, the number of ratings")
        order = np.random.default_rng(self.seed).permutation(len(rows))
        parts = np.full(len(rows), GIVEN, dtype=np.uint8)
        parts[order[: self.samples]] = TRAIN
        parts[order[: round(self.test * self.samples)]] = TEST
        parts[order[round(self.test * self.samples) :][: round(self.val * self.samples)]] = VAL
        return parts


class WholeUsers(Split):
    """Hold out whole users: none of their ratings is used in training, but a share of them is known as their history.

    Args:
        test: Share of all users for test; 0 < test < 1.
        val: Share of all users for validation; 0 for none.
        given: Share of a held-out user's ratings that is known history, rounded down; 0 <= given < 1.
        seed: Seed of the split only. Results over several may be averaged.
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
        # The history consists of the first rows of each user, in a random order.
        by_user = np.lexsort((random.random(len(rows)), of_row))
        rank = np.empty(len(rows), dtype=np.int64)
        rank[by_user] = np.arange(len(rows)) - np.repeat(n_rows.cumsum() - n_rows, n_rows)
        is_given = (parts != TRAIN) & (rank < np.floor(self.given * n_rows)[of_row])
        parts[is_given] = GIVEN
        return parts

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> np.ndarray:
        return ~np.isin(unrated["user"], rated["user"].to_numpy()[parts != TRAIN])
