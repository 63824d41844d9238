"""The temporal split, which holds out the latest rows."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.splits.base import TEST, TRAIN, VAL, Parts, Split, check_shares
from anirec.errors import UserError
from anirec.settings import PositiveShare, Share


class Temporal(Split):
    """Use the latest rows for test and those before them for validation. Rows without a timestamp are training rows.

    Rows with the same timestamp are in the same part, the later one, so that the test and validation
    sets may be slightly larger than requested.

    Args:
        test: Share of the rows with a timestamp for test; 0 < test < 1.
        val: Share of the rows with a timestamp for validation; 0 for none.
    """

    requires = frozenset({"timestamp"})
    reads = requires

    def __init__(self, *, test: PositiveShare, val: Share) -> None:
        check_shares(test=test, val=val)
        self.test, self.val = test, val

    def assign(self, rows: pl.DataFrame) -> Parts:
        parts = np.zeros(len(rows), dtype=np.uint8)
        timed = rows["timestamp"].is_not_null().to_numpy().nonzero()[0]
        if not len(timed):
            raise UserError(
                "split=temporal: no row of this dataset has a timestamp. Use split=random or split=per_user instead."
            )
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
