"""Splits: which rows train, which validate, which test. Each is decided by its seed alone, once and for all.

A split sees the dataset's row table, sorted by the dataset, and answers with one part per row.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares
from anirec.errors import UserError
from anirec.settings import PositiveShare, Share


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
