"""Evaluated rows and ranked lists of a run: as arrays for the metrics and as tables with ids.

A row of `predictions` of ratings: user 17, item 4021, target 9.0, prediction 8.62, split test.
A row of `recommendations`: user 17, rank 3, item 4021, score 8.62, relevant, 2 relevant items in total, split test.

In these two tables predictions have a relative rounding error of at most 2**-13 (0.012%) and scores, whose order is
that of the ranks, of at most 2**-10 (0.1%), so that files are small; metrics are computed before rounding. The titles
of the items are in the table `items` of the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.evaluation.top_items import TopItems


@dataclass(frozen=True)
class RatingRows:
    """Evaluated ratings of a split, all (n,). `user` and `item` are indices, -1 for an unknown id."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    target: NDArray[np.floating]
    prediction: NDArray[np.floating]

    @classmethod
    def from_batches(cls, batches: list[tuple[Any, ...]]) -> "RatingRows":
        """Concatenate the tensors (user, item, target, prediction) of all batches."""
        return cls(*concatenate_batches(batches))

    def __len__(self) -> int:
        return len(self.user)

    @property
    def are_rated(self) -> bool:
        """Whether there are predictions and ratings to compare; implicit feedback and imported lists have none."""
        return not len(self) or bool((np.isfinite(self.target) & np.isfinite(self.prediction)).any())

    def where(self, mask: NDArray[np.bool_]) -> "RatingRows":
        """Return the rows whose flag is set."""
        return RatingRows(self.user[mask], self.item[mask], self.target[mask], self.prediction[mask])

    def relevant(self, at_least: float | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return users and items of the relevant rows: both known, and the rating high enough."""
        wanted = (self.user >= 0) & (self.item >= 0)
        if at_least is not None:
            wanted &= self.target >= at_least
        return self.user[wanted], self.item[wanted]

    def tables(self, users: pl.Series, items: pl.Series, split: str) -> Iterator[pl.DataFrame]:
        """Yield tables of `ROWS_AT_ONCE` rows, with the raw ids of users and items; null where an id is unknown."""
        for start in range(0, len(self), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            yield pl.DataFrame(
                {
                    "user_id": take_or_null(users, self.user[rows]),
                    "item_id": take_or_null(items, self.item[rows]),
                    "target": self.target[rows],
                    "prediction": round_digits(self.prediction[rows], PREDICTION_DIGITS),
                }
            ).with_columns(split=pl.lit(split))


@dataclass(frozen=True)
class ScoreRows:
    """Evaluated titles, or posts, of a split, (n,) each: row numbers, true and predicted scores, float32.

    `span` is the distance in points from the lowest to the highest training score, the divisor of the unit scale.
    """

    index: NDArray[np.int64]
    target: NDArray[np.floating]
    prediction: NDArray[np.floating]
    span: float = nan

    @classmethod
    def from_batches(cls, batches: list[tuple[Any, ...]], span: float = nan) -> "ScoreRows":
        """Concatenate the tensors (index, target, prediction) of all batches."""
        index, target, prediction = concatenate_batches(batches)
        return cls(index, target, prediction, span)

    def __len__(self) -> int:
        return len(self.index)

    def where(self, mask: NDArray[np.bool_]) -> "ScoreRows":
        return ScoreRows(self.index[mask], self.target[mask], self.prediction[mask], self.span)

    @property
    def error(self) -> NDArray[np.float64]:
        """Prediction minus target, in points."""
        return self.prediction.astype(np.float64) - self.target

    def table(self, titles: pl.DataFrame, split: str) -> pl.DataFrame:
        """Return a table with ids, titles and clusters; the constant `span` allows recomputing unit-scale errors."""
        return titles[self.index].select(
            "item_id",
            "title",
            "cluster",
            target=pl.Series(self.target),
            prediction=pl.Series(self.prediction),
            span=pl.lit(self.span, pl.Float64),
            split=pl.lit(split),
        )


@dataclass(frozen=True)
class Ranked:
    """Ranked lists and which of their items are relevant: `hits_uk` bool (U, k), `n_relevant_u` int64 (U,)."""

    top: TopItems
    hits_uk: NDArray[np.bool_]
    n_relevant_u: NDArray[np.int64]

    def tables(self, users: pl.Series, items: pl.Series, split: str) -> Iterator[pl.DataFrame]:
        """Yield tables with one row per recommendation, all of a user in one table.

        Every ranking metric can be computed from `relevant` and `n_relevant`.
        """
        lists_at_once = max(1, ROWS_AT_ONCE // self.hits_uk.shape[1])
        for start in range(0, len(self.hits_uk), lists_at_once):
            lists = slice(start, start + lists_at_once)
            items_uk = self.top.items_uk[lists]
            row, rank = np.nonzero(items_uk >= 0)
            yield pl.DataFrame(
                {
                    "user_id": take_or_null(users, self.top.users[lists][row]),
                    "rank": (rank + 1).astype(np.int32),
                    "item_id": take_or_null(items, items_uk[row, rank]),
                    "score": round_digits(self.top.scores_uk[lists][row, rank], SCORE_DIGITS),
                    "relevant": self.hits_uk[lists][row, rank],
                    "n_relevant": self.n_relevant_u[lists][row].astype(np.int32),
                }
            ).with_columns(split=pl.lit(split))


ROWS_AT_ONCE = 1 << 20  # of a table that is written; a row group of its file
PREDICTION_DIGITS, SCORE_DIGITS = 13, 10  # binary


def round_digits(values: NDArray[np.floating], digits: int) -> NDArray[np.float32]:
    """Round to a number of binary digits, the first one included; the relative error is at most 2**-digits.

    >>> round_digits(np.array([8.6251, -0.0123456, 12_345_678, 0], dtype=np.float32), 13).tolist()
    [8.625, -0.012346267700195312, 12345344.0, 0.0]
    """
    mantissa, exponent = np.frexp(values.astype(np.float32, copy=False))
    return np.ldexp(np.rint(mantissa * 2**digits), exponent - digits).astype(np.float32)


def take_or_null(values: pl.Series, index: NDArray[np.integer]) -> pl.Series:
    """Return values[index], null where the index is -1.

    >>> take_or_null(pl.Series(["a", "b"]), np.array([1, -1, 0])).to_list()
    ['b', None, 'a']
    """
    return values.gather(pl.Series(index).replace(-1, None))


def concatenate_batches(batches: list[tuple[Any, ...]]) -> list[NDArray[Any]]:
    """Concatenate the tensors of all batches; the last two, targets and predictions, must have equal shape."""
    columns = [torch.cat(column).detach().cpu() for column in zip(*batches, strict=True)]
    target, prediction = columns[-2:]
    if prediction.shape != target.shape:
        raise ValueError(f"predictions have shape {tuple(prediction.shape)}, expected {tuple(target.shape)}")
    if prediction.dtype in (torch.float16, torch.bfloat16):
        columns[-1] = prediction.float()
    return [column.numpy() for column in columns]
