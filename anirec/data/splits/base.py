"""Splits: which rows train, which validate, which test. Each is decided by its seed alone, once and for all.

A split sees the dataset's row table, sorted by the dataset, and answers with one part per row.
"""

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.prepare.fingerprint import digest
from anirec.errors import UserError
from anirec.settings import Configurable

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
