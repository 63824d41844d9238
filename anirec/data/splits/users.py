"""Splits by user: some rows of every user, a sample of ratings with all others as history, or whole users.

The last two add a part GIVEN: ratings that are known history of a user, but never a target in training or test. They
are for models that describe a user by their history and can therefore predict for users outside training.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices, of_indices, row_bounds, user_slices
from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares, parts_in_order, shuffled
from anirec.errors import UserError
from anirec.settings import Count, PositiveInt, PositiveShare, Seed, Share


def random_ranks(
    user: NDArray[np.int32], random: np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield blocks of whole users: the rows, the rank of each row in a random order of its user's, and their number.

    Args:
        user: Indices of the users, sorted, (n,).
        random: Draws one number for each row, in order.
    """
    for users, some in user_slices(row_bounds(user, int(user.max(initial=-1)) + 1)):
        own = user[some] - users.start
        count = np.bincount(own, minlength=users.stop - users.start)
        rank = np.empty(len(own), dtype=np.int64)
        rank[np.lexsort((random.random(len(own)), own))] = np.arange(len(own)) - np.repeat(
            count.cumsum() - count, count
        )
        yield some, rank, count[own]


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
    reads = frozenset({"user"})

    def __init__(self, *, test: PositiveInt, val: Count, seed: Seed) -> None:
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        user, random = rows["user"].to_numpy(), np.random.default_rng(self.seed)
        parts = np.zeros(len(user), dtype=np.uint8)
        for some, rank, count in random_ranks(user, random):
            enough = count > self.test + self.val
            parts[some][enough & (rank < self.test + self.val)] = VAL
            parts[some][enough & (rank < self.test)] = TEST
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
    reads = frozenset()

    def __init__(self, *, samples: PositiveInt, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.samples, self.test, self.val, self.seed = samples, test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        if self.samples > len(rows):
            raise UserError(f"split.samples={self.samples}: expected at most {len(rows)}, the number of ratings")
        order = shuffled(len(rows), self.seed)
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
    reads = frozenset({"user"})

    def __init__(self, *, test: PositiveShare, val: Share, given: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.given, self.seed = test, val, given, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        user, random = rows["user"].to_numpy(), np.random.default_rng(self.seed)
        n_users = int(user.max(initial=-1)) + 1
        users = np.flatnonzero(count_indices(user, n_users))
        order = random.permutation(len(users))
        of_user = np.zeros(n_users, dtype=np.uint8)
        of_user[users] = parts_in_order(order, round(self.test * len(users)), round(self.val * len(users)))
        parts = of_indices(user, of_user)
        # The history consists of the first rows of each user, in a random order.
        for some, rank, count in random_ranks(user, random):
            parts[some][(parts[some] != TRAIN) & (rank < np.floor(self.given * count))] = GIVEN
        return parts

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> np.ndarray:
        return ~np.isin(unrated["user"], np.unique(rated["user"].to_numpy()[parts != TRAIN]))
