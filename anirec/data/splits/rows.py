"""Splits that assign single rows at random: one hold-out, or k folds."""

from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge

from anirec.data.splits.base import Parts, Split, check_shares, parts_in_order, shuffled
from anirec.errors import UserError
from anirec.settings import Count, PositiveShare, Seed, Share


class Random(Split):
    """Hold out rows at random.

    Args:
        test: Share of all rows for test; 0 < test < 1.
        val: Share of all rows for validation; 0 for none.
        seed: Seed of the split only, so that runs with different seeds share a split. Results over several split
            seeds may be averaged.
    """

    replicates = frozenset({"seed"})
    reads = frozenset()

    def __init__(self, *, test: PositiveShare, val: Share, seed: Seed) -> None:
        check_shares(test=test, val=val)
        self.test, self.val, self.seed = test, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        order = shuffled(len(rows), self.seed)
        return parts_in_order(order, round(self.test * len(order)), round(self.val * len(order)))


class KFold(Split):
    """Divide the rows at random into `folds` equal folds, of which one is the test set.

    Run all folds with `-m split.fold=0,1,2,3,4`.

    Args:
        folds: Number of folds; at least 2.
        fold: The test fold; 0 <= fold < folds.
        val: Share of all rows for validation, taken from the training folds; 0 for none.
        seed: Seed of the split only.
    """

    replicates = frozenset({"fold", "seed"})
    reads = frozenset()

    def __init__(self, *, folds: Annotated[int, Ge(2)], fold: Count, val: Share, seed: Seed) -> None:
        if fold >= folds:
            raise UserError(f"split.fold={fold}, split.folds={folds}: expected 0 <= fold < folds")
        check_shares(test=1 / folds, val=val)
        self.folds, self.fold, self.val, self.seed = folds, fold, val, seed

    def assign(self, rows: pl.DataFrame) -> Parts:
        order = shuffled(len(rows), self.seed)
        start, stop = (len(rows) * fold // self.folds for fold in (self.fold, self.fold + 1))
        return parts_in_order(np.roll(order, -start), stop - start, round(self.val * len(rows)))
