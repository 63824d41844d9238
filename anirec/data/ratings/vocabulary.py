"""Vocabulary: raw ids to indices and back. Holds every id of the dataset, whichever part of the split it fell into."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Vocabulary:
    """Sorted unique raw ids; an id's index is its place, an unknown id has index -1.

    >>> animes = Vocabulary(pl.Series([20, 5, 20, 1]))
    >>> animes.encode(pl.Series([5, 20, 7]))
    array([ 1,  2, -1], dtype=int32)
    >>> animes.ids.to_list()
    [1, 5, 20]
    """

    def __init__(self, ids: pl.Series) -> None:
        self.ids = ids.unique().sort().alias("id")

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, raw: pl.Series) -> NDArray[np.int32]:
        """(n,) int32."""
        index = self.ids.to_frame().with_columns(index=pl.int_range(pl.len(), dtype=pl.Int32))
        found = raw.alias("id").to_frame().join(index, on="id", how="left", maintain_order="left")
        return found["index"].fill_null(-1).to_numpy()
