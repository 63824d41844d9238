"""RatingEvaluation: after every validation epoch, and once on the test set, how good is the model?

It asks two things of any model: the predictions that its steps return, and `score_items`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn

from anirec.errors import UserError
from anirec.metrics.evaluated import Ranked, Rows
from anirec.metrics.names import checked
from anirec.metrics.top_items import hits, top_items
from anirec.metrics.training import catalogue, training_counts
from anirec.metrics.values import list_values, ranking_values, rating_values, segment_values

SAMPLE_SEED = 0


class RatingEvaluation(Callback):
    """Rating metrics of the predictions, and ranking metrics over the whole catalogue.

    Every user with a relevant held-out item gets the k best items of all but those seen: the training set's and the
    unrated ones, at test the validation set's too. Only held-out items of known users count as relevant.

    During training it logs `val/<name>` after each epoch. `trainer.validate` and `trainer.test` also fill `metrics`
    (names to float64 values, split first) and `tables` (`predictions`, `recommendations` of the test users), and add
    `unknown_users` and `unknown_items`: the number of rows whose user (item) has no training rating.
    In a run of several processes each evaluates everything, so nothing is summed over them.

    Args:
        names: Metrics, such as rmse or ndcg@10; the first is shown in the progress bar.
        segments: Whether to add the cold, middle and heavy thirds of users and items, `test/rmse/cold_items`
            (rating metrics by both, ranking metrics by users); see `segments.py`.
        block: Users ranked at once.
        relevant_from: The lowest rating that makes a held-out item relevant; None for any.
        max_users: Rank for that many users only, the same at random in every run on the split; None for all.

    Raises:
        UserError: If a name or number is wrong; while running, if the model predicts what is not a finite number.
    """

    def __init__(
        self, *, names: Sequence[str], segments: bool, block: int, relevant_from: float | None, max_users: int | None
    ) -> None:
        self.names = checked(names)
        for setting, value in {"block": block, "max_users": max_users}.items():
            if value is not None and value < 1:
                raise UserError(f"metrics.{setting}={value}: expected a number of users, at least 1.")
        self.segments = segments
        self.block = block
        self.relevant_from = relevant_from
        self.max_users = max_users
        self.metrics: dict[str, float] = {}
        self.k = max((name.k for name in self.names if name.k), default=0)
        self.batches: list[tuple[Any, ...]] = []
        self.predictions: dict[str, pl.DataFrame] = {}
        self.recommendations: dict[str, pl.DataFrame] = {}
        self.undefined: set[str] = set()

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`predictions` of all splits evaluated so far, and `recommendations` of the test users."""
        named = {"predictions": self.predictions, "recommendations": self.recommendations}
        return {name: pl.concat(tables.values()) for name, tables in named.items() if tables}

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append((batch.user, batch.item, batch.rating, outputs))

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append((batch.user, batch.item, batch.rating, outputs))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "test")

    def evaluate(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Compute and log; keep the results unless this is one epoch of many."""
        batches, self.batches = self.batches, []
        # A sanity check runs an untrained model on a few batches.
        if trainer.sanity_checking or not batches:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        is_final = trainer.state.fn != TrainerFn.FITTING
        rows = Rows.collected(batches)
        check_finite(model, split, "ratings", np.isfinite(rows.prediction))
        ranked = self.ranked(model, data, rows, split) if self.k else None
        values = self.values(data, rows, ranked)
        if is_final:
            values |= self.details(data, rows, ranked)
            self.predictions[split] = rows.table(data.users, data.items, split)
            if ranked and split == "test":
                self.recommendations[split] = ranked.table(data.users, data.items, split)
        metrics = self.defined({f"{split}/{name}": value for name, value in values.items()})
        if is_final:
            self.metrics |= metrics
        if is_final and split == "val":
            return  # the epoch that made this model has logged it
        log(model, metrics, first=f"{split}/{self.names[0].short}")

    def ranked(self, model: LightningModule, data: Any, rows: Rows, split: str) -> Ranked | None:
        """The top lists of the users who have something to find; None if nobody has."""
        user, item = rows.relevant(self.relevant_from)
        users = np.unique(user)
        if not len(users):
            return None
        if self.max_users is not None and len(users) > self.max_users:
            users = np.sort(np.random.default_rng(SAMPLE_SEED).choice(users, self.max_users, replace=False))
        seen = [data.train, data.unrated, *([data.val] if split == "test" else [])]
        top = top_items(
            model.score_items,  # type: ignore[arg-type]
            users,
            [rows for rows in seen if rows is not None],
            n_items=data.n_items,
            k=self.k,
            block=self.block,
            device=model.device,
        )
        check_finite(model, split, "users' rankings", ~np.isnan(top.scores_uk).any(axis=1))
        return Ranked(top, *hits(top, user, item, data.n_items))

    def values(self, data: Any, rows: Rows, ranked: Ranked | None) -> dict[str, float]:
        """What was asked for, in that order; NaN where there was nobody to rank for."""
        found = dict(rating_values(self.names, rows))
        if ranked:
            found |= ranking_values(self.names, ranked)
            found |= list_values(self.names, ranked, catalogue(data))
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

    def defined(self, metrics: dict[str, float]) -> dict[str, float]:
        """Without NaN, which is said once: R² of equal ratings, the diversity of items without genres."""
        undefined = {name for name, value in metrics.items() if np.isnan(value)}
        if undefined - self.undefined:
            rank_zero_warn(f"Undefined on this data and therefore left out: {', '.join(sorted(undefined))}")
        self.undefined |= undefined
        return {name: value for name, value in metrics.items() if name not in undefined}


def check_finite(model: LightningModule, split: str, what: str, is_finite: Any) -> None:
    if not is_finite.all():
        raise UserError(
            f"{type(model).__name__} gave NaN or infinity for {(~is_finite).sum()} of {len(is_finite)} {split} {what}. "
            "Its training has probably diverged: lower the learning rate or raise the regularisation."
        )


def log(model: LightningModule, metrics: dict[str, float], *, first: str) -> None:
    """Log in float64, so that loggers show the digits of metrics.json (Apple's GPUs have none)."""
    dtype = torch.float32 if model.device.type == "mps" else torch.float64
    for name, value in metrics.items():
        model.log(name, torch.tensor(value, dtype=dtype), prog_bar=name == first, rank_zero_only=True)
