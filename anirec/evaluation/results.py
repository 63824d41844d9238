"""What a run is judged on: the evaluated rows and the top lists, as arrays for the metrics and as tables for people.

One row of `predictions` of ratings: user 17, item 4021, "Monster", target 9.0, prediction 8.62, split test.
One row of `recommendations`: user 17, rank 3, item 4021, "Monster", score 8.62, relevant, 2 relevant items in all.
"""

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.evaluation.top_items import TopItems

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The evaluated rows of a split; all (n,). `user` and `item` are indices, -1 for an unknown id."""

    user: Indices
    item: Indices
    target: NDArray[np.floating]
    prediction: NDArray[np.floating]

    @classmethod
    def collected(cls, batches: list[tuple[Any, ...]]) -> "Rows":
        """From the tensors (user, item, target, prediction) of every batch."""
        return cls(*gathered(batches))

    def __len__(self) -> int:
        return len(self.user)

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """Only the rows whose flag is set."""
        return Rows(self.user[mask], self.item[mask], self.target[mask], self.prediction[mask])

    def relevant(self, at_least: float | None) -> tuple[Indices, Indices]:
        """Users and items of the rows that a recommender should find: known, and rated high enough."""
        wanted = (self.user >= 0) & (self.item >= 0)
        if at_least is not None:
            wanted &= self.target >= at_least
        return self.user[wanted], self.item[wanted]

    def table(self, users: NDArray[np.generic], items: pl.DataFrame, split: str) -> pl.DataFrame:
        """With raw ids and titles; null where an id is unknown."""
        return pl.DataFrame(
            {
                "user_id": looked_up(pl.Series(users), self.user),
                "item_id": looked_up(items["item_id"], self.item),
                "title": looked_up(items["title"], self.item),
                "target": self.target,
                "prediction": self.prediction,
            }
        ).with_columns(split=pl.lit(split))


@dataclass(frozen=True)
class ScoreRows:
    """The evaluated titles, or posts, of a split, (n,) each: their row numbers, true and predicted scores, float32.

    `span` is the distance in points from the lowest to the highest training score: what the unit scale divides by.
    """

    index: Indices
    target: NDArray[np.floating]
    prediction: NDArray[np.floating]
    span: float = nan

    @classmethod
    def collected(cls, batches: list[tuple[Any, ...]], span: float = nan) -> "ScoreRows":
        """From the tensors (index, target, prediction) of every batch."""
        index, target, prediction = gathered(batches)
        return cls(index, target, prediction, span)

    def __len__(self) -> int:
        return len(self.index)

    def where(self, mask: NDArray[np.bool_]) -> "ScoreRows":
        return ScoreRows(self.index[mask], self.target[mask], self.prediction[mask], self.span)

    @property
    def error(self) -> NDArray[np.float64]:
        """Prediction less truth, in points."""
        return self.prediction.astype(np.float64) - self.target

    def table(self, titles: pl.DataFrame, split: str) -> pl.DataFrame:
        """With ids, titles and clusters; `span`, a constant, lets errors on the unit scale be measured again."""
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
    """Top lists and which of their items are relevant: `hits_uk` bool (U, k), `n_relevant_u` int64 (U,)."""

    top: TopItems
    hits_uk: NDArray[np.bool_]
    n_relevant_u: Indices

    def table(self, users: NDArray[np.generic], items: pl.DataFrame, split: str) -> pl.DataFrame:
        """One row a recommendation; `relevant` and `n_relevant` suffice for every ranking metric."""
        row, rank = np.nonzero(self.top.items_uk >= 0)
        item = self.top.items_uk[row, rank]
        return pl.DataFrame(
            {
                "user_id": looked_up(pl.Series(users), self.top.users[row]),
                "rank": (rank + 1).astype(np.int32),
                "item_id": looked_up(items["item_id"], item),
                "title": looked_up(items["title"], item),
                "score": self.top.scores_uk[row, rank],
                "relevant": self.hits_uk[row, rank],
                "n_relevant": self.n_relevant_u[row].astype(np.int32),
            }
        ).with_columns(split=pl.lit(split))


def looked_up(values: pl.Series, index: Indices) -> pl.Series:
    """values[index], null where the index is -1.

    >>> looked_up(pl.Series(["a", "b"]), np.array([1, -1, 0])).to_list()
    ['b', None, 'a']
    """
    return values.gather(pl.Series(index).replace(-1, None))


def gathered(batches: list[tuple[Any, ...]]) -> list[NDArray[Any]]:
    """The tensors of every batch, end to end; the last two are targets and predictions, and of equal shape."""
    columns = [torch.cat(column).detach().cpu() for column in zip(*batches, strict=True)]
    target, prediction = columns[-2:]
    if prediction.shape != target.shape:
        raise ValueError(f"predictions have shape {tuple(prediction.shape)}, expected {tuple(target.shape)}")
    if prediction.dtype in (torch.float16, torch.bfloat16):
        columns[-1] = prediction.float()
    return [column.numpy() for column in columns]
