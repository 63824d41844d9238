"""What is known from training: how often each user and item was rated, and the genres of the items."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.beyond_accuracy import Catalogue


def training_counts(data: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of training ratings of every user and of every item."""
    return np.diff(data.train.indptr), np.bincount(data.train.item, minlength=data.n_items)


def catalogue(data: Any, candidates: NDArray[np.int64] | None = None) -> Catalogue:
    """What the metrics of lists need; `candidates` are the items that were ranked, None for all."""
    count_u, count_i = training_counts(data)
    genres_ig = genre_matrix(data.items["genres"])
    return Catalogue(count_i, n_users=int((count_u > 0).sum()), genres_ig=genres_ig, candidates=candidates)


def genre_matrix(genres: pl.Series) -> NDArray[np.bool_]:
    """(I, G): which item has which genre; `genres` is list[str] (I,), and may hold nulls.

    >>> genre_matrix(pl.Series([["Drama", "Mystery"], None, ["Drama"]])).astype(int)
    array([[1, 1],
           [0, 0],
           [1, 0]])
    """
    pairs = pl.DataFrame({"item": np.arange(len(genres)), "genre": genres}).explode("genre").drop_nulls()
    genre = pairs["genre"].rank("dense").cast(pl.Int64).to_numpy() - 1
    matrix = np.zeros((len(genres), int(genre.max(initial=-1)) + 1), dtype=bool)
    matrix[pairs["item"].to_numpy(), genre] = True
    return matrix
