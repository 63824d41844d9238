"""The base class of splits, and the checks that they share.

A split receives the row table of a dataset, in the order that the dataset defines, and assigns each row to a part:
TRAIN, VAL or TEST; some splits have further parts. The same table and the same settings always give the same parts.
"""

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices
from anirec.data.prepare.fingerprint import digest
from anirec.errors import UserError
from anirec.metrics.resampling import FEWEST_ROWS
from anirec.notices import warn
from anirec.settings import Configurable

TRAIN, VAL, TEST = 0, 1, 2
LATER = 4  # rows after the test window, which are not used at all
Parts = NDArray[np.uint8]


class Split(Configurable, ABC):
    """Assigns each row of a table to TRAIN, VAL or TEST.

    `requires` names the columns that the dataset must have. `replicates` names the settings that only choose one of
    several splits of the same protocol, such as the seed or the fold of a k-fold; results over these may be averaged.
    `reads` names the columns of the row table that the methods use, so that no others are computed; None for all.
    `in_time` says that the test rows are later than the training rows, so that facts that are known only afterwards,
    such as the score of a title, must not be features. `val_is_earlier` says that the validation rows of a user are
    earlier than the test rows of this user.

    The row table of ratings is sorted by user and item. Its columns are `user` and `item` (indices), `user_id`,
    `item_id`, `rating` and, if the dump has them, `timestamp` and `aired_from`, the air date of the item.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    replicates: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str] | None] = None
    in_time: ClassVar[bool] = False
    val_is_earlier: ClassVar[bool] = False

    @abstractmethod
    def assign(self, rows: pl.DataFrame) -> Parts:
        """Return the part of each row, (n,) uint8."""

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        """Return which rows without a rating may be used in training without leaking held-out rows, (m,) bool.

        Args:
            unrated: Rows without a rating, (m,); they are in no part.
            rated: The rows that were split, (n,).
            parts: The parts of the rated rows, (n,).
        """
        return np.ones(len(unrated), dtype=bool)

    def bounds(self, rows: pl.DataFrame, parts: Parts) -> dict[str, str]:
        """Return `train_until`, the latest time of a training row, and `held_out_from`, the earliest of all others.

        Splits with several windows add `window`, the test window. Empty if the split does not divide the rows at one
        time.
        """
        return {}

    def notes(self, rows: pl.DataFrame, parts: Parts) -> list[str]:
        """Return sentences about what this split did with rows that it cannot order or does not use."""
        return []

    def provenance(self, parts: Parts, data: str) -> dict[str, Any]:
        """Describe this split of the data with the fingerprint `data`; results of one `family` may be averaged."""
        shared = {key: value for key, value in vars(self).items() if key not in self.replicates}
        counts = count_indices(parts, int(parts.max(initial=TEST)) + 1)
        return {
            "family": digest(data, {"split": type(self).__name__, **shared}),
            "fingerprint": digest(data, hashlib.sha256(np.ascontiguousarray(parts).data).hexdigest()),
            **{f"n_{name}": int(counts[part]) for name, part in (("train", TRAIN), ("val", VAL), ("test", TEST))},
        }


def shuffled(n_rows: int, seed: int) -> NDArray[np.int32]:
    """Return the rows 0 to `n_rows` - 1 in random order, (n_rows,): `permutation` of NumPy in half the memory.

    >>> (shuffled(5, seed=1) == np.random.default_rng(1).permutation(5)).all()
    np.True_
    """
    order = np.arange(n_rows, dtype=np.int32)
    np.random.default_rng(seed).shuffle(order)
    return order


def parts_in_order(order: NDArray[np.integer], n_test: int, n_val: int) -> Parts:
    """Assign the first rows of `order` to TEST, the next to VAL and the rest to TRAIN.

    >>> parts_in_order(np.array([2, 0, 1, 3]), n_test=1, n_val=1)
    array([1, 0, 2, 0], dtype=uint8)
    """
    parts = np.zeros(len(order), dtype=np.uint8)
    parts[order[:n_test]] = TEST
    parts[order[n_test : n_test + n_val]] = VAL
    return parts


def check_parts(split: Split, sizes: dict[str, int], what: str) -> None:
    """Check that a split has training and test rows, and warn of few test rows.

    Args:
        split: The split, whose settings are named in the message.
        sizes: Number of rows in "train", "val" and "test".
        what: What the rows are, in the plural, such as "ratings".

    Raises:
        UserError: There are no training rows or no test rows.
    """
    if not sizes["train"] or not sizes["test"]:
        settings = ", ".join(f"split.{key}={value}" for key, value in vars(split).items())
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise UserError(
            f"{settings} splits {sum(sizes.values())} {what} into {counts}; training and test must not be empty"
        )
    if sizes["test"] < FEWEST_ROWS:
        warn(f"the test set has {sizes['test']} {what} only: too few for intervals, tests or conclusions; see split")


def check_shares(*, test: float, val: float) -> None:
    """Raise a UserError unless the shares leave something for training."""
    if test + val >= 1:
        raise UserError(f"split.test={test}, split.val={val}: expected shares with test + val < 1")
