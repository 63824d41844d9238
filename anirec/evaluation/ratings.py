"""RatingEvaluation: after every validation epoch, and once on the test set, how good is the model?

It asks two things of any model: the predictions that its steps return, and `score_items`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer

from anirec.evaluation.base import Evaluation, check_finite
from anirec.evaluation.results import Ranked, Rows
from anirec.evaluation.top_items import hits, top_items
from anirec.evaluation.values import list_values, ranking_values, row_values, segment_values
from anirec.metrics.item_statistics import catalogue, training_counts
from anirec.settings import PositiveInt

SAMPLE_SEED = 0


class RatingEvaluation(Evaluation):
    """Rating metrics of the predictions, and ranking metrics over the whole catalogue or its new titles.

    Every user with a relevant held-out item gets the k best items of all but those seen: the training set's, the
    given, the unrated and the excluded ones, at test the validation set's too. Only held-out items of known users count
    as relevant.

    `trainer.validate` and `trainer.test` fill the tables `predictions` and `recommendations` (of the test users), and
    add `unknown_users` and `unknown_items`: the number of rows whose user (item) has no training rating.

    Args:
        names: Metrics, such as rmse or ndcg@10; the first is shown in the progress bar.
        segments: Whether to add the cold, middle and heavy thirds of users and items, `test/rmse/cold_items`
            (rating metrics by both, ranking metrics by users); see `segments.py`.
        block: Users ranked at once.
        relevant_from: The lowest rating that makes a held-out item relevant; None for any.
        max_users: Rank for that many users only, the same at random in every run on the split; None for all.
        candidates: What is ranked, and can be relevant: "all" items, or "cold" ones, without a training rating.

    Raises:
        UserError: If a name or number is wrong; while running, if the model predicts what is not a finite number.
    """

    kinds = frozenset({"rating", "ranking", "lists"})

    def __init__(
        self,
        *,
        names: Sequence[str],
        segments: bool,
        block: PositiveInt,
        relevant_from: float | None,
        max_users: PositiveInt | None,
        candidates: Literal["all", "cold"],
    ) -> None:
        super().__init__(names=names)
        self.segments = segments
        self.block = block
        self.relevant_from = relevant_from
        self.max_users = max_users
        self.candidates = candidates
        self.k = max((name.k for name in self.names if name.k), default=0)
        self.predictions: dict[str, pl.DataFrame] = {}
        self.recommendations: dict[str, pl.DataFrame] = {}

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`predictions` of all splits evaluated so far, and `recommendations` of the test users."""
        named = {"predictions": self.predictions, "recommendations": self.recommendations}
        return {name: pl.concat(tables.values()) for name, tables in named.items() if tables}

    def collected(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        return batch.user, batch.item, batch.rating, outputs

    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        rows = Rows.collected(batches)
        check_finite(model, split, "ratings", np.isfinite(rows.prediction))
        ranked = self.ranked(model, data, rows, split) if self.k else None
        values = self.values(data, rows, ranked)
        if is_final:
            values |= self.details(data, rows, ranked)
            self.predictions[split] = rows.table(data.users, data.items, split)
            if ranked and split == "test":
                self.recommendations[split] = ranked.table(data.users, data.items, split)
        return values

    def ranked(self, model: LightningModule, data: Any, rows: Rows, split: str) -> Ranked | None:
        """The top lists of the users who have something to find; None if nobody has."""
        user, item = rows.relevant(self.relevant_from)
        among = self.among(data)
        if among is not None:
            is_candidate = np.isin(item, among)
            user, item = user[is_candidate], item[is_candidate]
        users = np.unique(user)
        if not len(users):
            return None
        if self.max_users is not None and len(users) > self.max_users:
            users = np.sort(np.random.default_rng(SAMPLE_SEED).choice(users, self.max_users, replace=False))
        seen = [data.train, data.given, data.unrated, data.excluded, *([data.val] if split == "test" else [])]
        top = top_items(
            model.score_items,  # type: ignore[arg-type]
            users,
            [rows for rows in seen if rows is not None],
            n_items=data.n_items,
            among=among,
            k=self.k,
            block=self.block,
            device=model.device,
        )
        check_finite(model, split, "users' rankings", ~np.isnan(top.scores_uk).any(axis=1))
        return Ranked(top, *hits(top, user, item, data.n_items))

    def among(self, data: Any) -> NDArray[np.int64] | None:
        """The items that are ranked; None for all."""
        return cold_items(data) if self.candidates == "cold" else None

    def values(self, data: Any, rows: Rows, ranked: Ranked | None) -> dict[str, float]:
        """What was asked for, in that order; NaN where there was nobody to rank for."""
        found = dict(row_values(self.names, rows))
        if ranked:
            found |= ranking_values(self.names, ranked)
            found |= list_values(self.names, ranked, catalogue(data, self.among(data)))
        return {name.short: found.get(name.short, np.nan) for name in self.names}

    def details(self, data: Any, rows: Rows, ranked: Ranked | None) -> dict[str, float]:
        """What only a finished model is asked: unknown users and items, and segments."""
        count_u, count_i = (np.append(counts, 0) for counts in training_counts(data))
        values = {
            "unknown_users": float((count_u[rows.user] == 0).sum()),
            "unknown_items": float((count_i[rows.item] == 0).sum()),
        }
        if self.segments:
            values |= segment_values(self.names, rows, ranked, count_u, count_i)
        return values


class RatingErrors(RatingEvaluation):
    """Rating metrics alone: for models that would take long to rank the whole catalogue.

    Args:
        names: Metrics of ratings, such as rmse; the first is shown in the progress bar.
        segments: Whether to add the cold, middle and heavy thirds of users and items.
    """

    kinds = frozenset({"rating"})

    def __init__(self, *, names: Sequence[str], segments: bool) -> None:
        super().__init__(names=names, segments=segments, block=1, relevant_from=None, max_users=None, candidates="all")


def cold_items(data: Any) -> NDArray[np.int64]:
    """Indices of the items without a training rating, in a random order.

    A model may score them all alike, and the order of ids is no chance: the oldest titles are the best known ones.
    """
    _, count_i = training_counts(data)
    return np.random.default_rng(SAMPLE_SEED).permutation(np.flatnonzero(count_i == 0))
