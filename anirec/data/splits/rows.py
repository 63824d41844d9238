"""Splits: which rows train, which validate, which test. Each is decided by its seed alone, once and for all.

A split sees the dataset's row table, sorted by the dataset, and answers with one part per row.
"""

from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge

from anirec.data.splits.base import Parts, Split, check_shares, parts_in_order
from anirec.errors import UserError
from anirec.settings import Count, PositiveShare, Seed, Share


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
