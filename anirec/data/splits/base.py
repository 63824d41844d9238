"""Splits: which rows train, which validate, which test. Each is decided by its seed alone, once and for all.

A split sees the dataset's row table, sorted by the dataset, and answers with one part per row.
"""

import hashlib
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from annotated_types import Ge
from numpy.typing import NDArray

from anirec.data.prepare.fingerprint import digest
from anirec.errors import UserError
from anirec.settings import Configurable, Count, PositiveInt, PositiveShare, Seed, Share

TRAIN, VAL, TEST = 0, 1, 2
Parts = NDArray[np.uint8]


class Split(Configurable, ABC):
    """Assigns every row of a table to TRAIN, VAL or TEST.

    `requires` names the columns that the dataset must offer; `replicates` names the settings that make several splits
    out of one protocol (its seed, the fold of a k-fold), so that their results may be averaged.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    replicates: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def assign(self, rows: pl.DataFrame) -> Parts:
        """(n,) uint8: the part of each row."""

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        """(m,): which rows without a rating, which are in no part, give nothing away of the held-out ones.

        Args:
            unrated: The rows asked about.
            rated: The rows that were split.
            parts: Theirs.
        """
        return np.ones(len(unrated), dtype=bool)

    def provenance(self, parts: Parts, data: str) -> dict[str, Any]:
        """Which split this is of the data with that fingerprint; those of one `family` may be averaged."""
        shared = {key: value for key, value in vars(self).items() if key not in self.replicates}
        counts = np.bincount(parts, minlength=3)
        return {
            "family": digest(data, {"split": type(self).__name__, **shared}),
            "fingerprint": digest(data, hashlib.sha256(parts.tobytes()).hexdigest()),
            **{f"n_{name}": int(counts[part]) for name, part in (("train", TRAIN), ("val", VAL), ("test", TEST))},
        }


class Random(Split):
    """Rows at random.

    Args:
        test: Share of all rows; 0 < test < 1.
        val: Share of all rows; 0 validates nothing.
        seed: Of the split alone, so that runs with other seeds stay comparable. Results over several are averaged.
    """

    replicates = frozenset({"seed"})

    def __init__(self, *, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        order = np.random.default_rng(self.seed).permutation(len(rows))
        return parts_in_order(order, round(self.test * len(order)), round(self.val * len(order)))


class Temporal(Split):
    """The latest rows test, those before them validate. Rows without a time train.

    Rows of one time are in one part, the later one: shares can be a little larger than asked for.

    Args:
        test: Share of the rows that have a time; 0 < test < 1.
        val: Likewise; 0 validates nothing.
    """

    requires = frozenset({"timestamp"})

    def __init__(self, *, test: PositiveShare, val: Share) -> None:
        check_shares(test=test, val=val)
        self.test, self.val = test, val

    def assign(self, rows: pl.DataFrame) -> Parts:
        parts = np.zeros(len(rows), dtype=np.uint8)
        timed = rows["timestamp"].is_not_null().to_numpy().nonzero()[0]
        if not len(timed):
            raise UserError("split=temporal: no row of this dataset has a timestamp. Choose split=random or per_user.")
        time = rows["timestamp"].to_physical().gather(timed).to_numpy()
        latest_first = np.sort(time)[::-1]
        n_test, n_val = round(self.test * len(timed)), round(self.val * len(timed))
        for part, n in ((VAL, n_test + n_val), (TEST, n_test)):
            if n:
                parts[timed[time >= latest_first[n - 1]]] = part
        return parts

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        first_held_out = rated["timestamp"].filter(pl.Series(parts != TRAIN)).min()
        return (unrated["timestamp"] < first_held_out).fill_null(True).to_numpy()


class KFold(Split):
    """Rows at random in `folds` equal parts; one of them tests. Run all with `-m split.fold=0,1,2,3,4`.

    Args:
        folds: Number of folds; at least 2.
        fold: The one that tests; 0 <= fold < folds.
        val: Share of all rows, taken from the training folds; 0 validates nothing.
        seed: Of the split alone.
    """

    replicates = frozenset({"fold", "seed"})

    def __init__(self, *, folds: Annotated[int, Ge(2)], fold: Count, val: Share, seed: Seed) -> None:
        if fold >= folds:
            raise UserError(f"split.fold={fold}, split.folds={folds}: expected 0 <= fold < folds")
        check_shares(test=1 / folds, val=val)
        self.folds, self.fold, self.val, self.seed = folds, fold, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        order = np.random.default_rng(self.seed).permutation(len(rows))
        start, stop = (len(rows) * fold // self.folds for fold in (self.fold, self.fold + 1))
        return parts_in_order(np.roll(order, -start), stop - start, round(self.val * len(rows)))


class PerUser(Split):
    """Hold out a number of random rows of each user; the CS 4120 protocol is one and one.

    Users with too few rows to leave one for training keep them all in training.

    Args:
        test: Rows of each user that test; at least 1.
        val: Rows of each user that validate; 0 validates nothing.
        seed: Of the split alone.
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


class WholeItems(Split):
    """All ratings of some titles: what nobody has rated yet must be recommended by what is known of it.

    Args:
        test: Share of all titles; 0 < test < 1.
        val: Likewise; 0 validates nothing.
        seed: Of the split alone. Results over several are averaged: much depends on which titles test.
    """

    requires = frozenset({"user_id", "item_id"})
    replicates = frozenset({"seed"})

    def __init__(self, *, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        items, of_row = np.unique(rows["item"].to_numpy(), return_inverse=True)
        order = np.random.default_rng(self.seed).permutation(len(items))
        return parts_in_order(order, round(self.test * len(items)), round(self.val * len(items)))[of_row]

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        return ~np.isin(unrated["item"], rated["item"].to_numpy()[parts != TRAIN])


def parts_in_order(order: NDArray[np.int64], n_test: int, n_val: int) -> Parts:
    """The first rows of `order` test, the next validate, the rest trains.

    >>> parts_in_order(np.array([2, 0, 1, 3]), n_test=1, n_val=1)
    array([1, 0, 2, 0], dtype=uint8)
    """
    parts = np.zeros(len(order), dtype=np.uint8)
    parts[order[:n_test]] = TEST
    parts[order[n_test : n_test + n_val]] = VAL
    return parts


def check_parts(split: Split, sizes: dict[str, int], what: str) -> None:
    """Refuse a split that leaves nothing to learn from or to test on."""
    if not sizes["train"] or not sizes["test"]:
        asked = ", ".join(f"split.{key}={value}" for key, value in vars(split).items())
        raise UserError(f"{asked} leaves {sizes} {what} of {sum(sizes.values())}; none of train and test may be empty")


def check_shares(*, test: float, val: float) -> None:
    if test + val >= 1:
        raise UserError(f"split.test={test}, split.val={val}: expected shares with test + val < 1")
