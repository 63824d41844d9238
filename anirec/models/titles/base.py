"""Base classes of models that predict a title's mean score, and the mean baseline."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.titles.datamodule import Corpus, titles_of
from anirec.data.titles.loaders import EVALUATION_ROWS, TitleBatch, TitleBlocks
from anirec.features.branch import Branch
from anirec.models.branched import Branched
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import OnePass
from anirec.notices import warn

BYTES_PER_TITLE = 32_000  # for one branch: twenty characters with vectors of 400 numbers


class ScoreModel(Branched):
    """A model that predicts the mean score of a title, 1 to 10, from its synopsis, characters and pictures.

    Args:
        branches: Branches by name, one for each modality. They are fitted once, on the training titles, and saved in
            the checkpoint.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"synopsis", "score"})

    low: Tensor
    span: Tensor

    def __init__(self, *, branches: Mapping[str, Branch]) -> None:
        super().__init__(branches=branches)
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("span", torch.ones(()))

    @property
    def data(self) -> Corpus:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: tokens, pixels or vectors of each title; trained encoders are not included."""
        size = BYTES_PER_TITLE * counts.n_rows * len(self.branches)
        return super().cost(counts) + Cost(memory=size, operations=size)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.data.train))

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if not self.is_fitted:
            self.cut_texts_at = self.data.cleaning.cut_texts_at
            self.fit(self.data.titles[self.data.train])
            self.look(self.data.titles, cache=self.data.cache, device=self.trainer.strategy.root_device)
            self.is_fitted = True
            self.warn_about_coverage()

    def warn_about_coverage(self) -> None:
        """Warn about titles that lack a modality, and about columns that are unknown when a title is pitched."""
        for name, branch in self.branches.items():
            n_titles = branch.coverage.get("titles", 0)  # type: ignore[union-attr, operator]
            n_seen = next((n for what, n in branch.coverage.items() if what.startswith("with_")), n_titles)  # type: ignore[union-attr, operator]
            if n_seen < n_titles:
                warn(f"{name}: present in {n_seen} of {n_titles} titles; the others are treated as missing")
            if branch.later:
                warn(f"{name} uses information that is decided after funding; predictions are no forecast for a pitch")

    def fit(self, titles: pl.DataFrame) -> None:
        score = torch.from_numpy(titles["score"].to_numpy(writable=True))
        self.low.copy_(score.min())
        self.span.copy_((score.max() - score.min()).clamp_min(1e-6))
        super().fit(titles)

    def unit_mse(self, prediction: Tensor, score: Tensor) -> Tensor:
        """Return the mean squared error on the published scale: training scores from 0 (lowest) to 1 (highest)."""
        return (((prediction - score) / self.span) ** 2).mean()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["cut_texts_at"] = self.cut_texts_at

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.cut_texts_at = checkpoint["cut_texts_at"]
        super().on_load_checkpoint(checkpoint)

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Predict scores of titles, also of hypothetical ones.

        `rows` has the column `synopsis` and may have the list columns `descriptions` and `portraits`.
        """
        titles = titles_of(rows, cut_at=self.cut_texts_at)
        self.look(titles, cache=cache, device=self.device)
        unscored = np.full(len(titles), np.nan, dtype=np.float32)
        blocks = TitleBlocks(np.arange(len(titles)), unscored, rows=EVALUATION_ROWS)
        predictions = torch.cat([self(batch) for batch in blocks])
        return predictions.numpy(), {"titles without a synopsis": titles["synopsis"].null_count()}

    @abstractmethod
    def forward(self, batch: TitleBatch) -> Tensor:
        """Return predicted scores (B,) on the scale of the dataset."""


class ClosedForm(OnePass, ScoreModel):
    """Base class of closed-form score models, which define `learn(titles)`.

    Corpora are small, so every process reads all titles and computes the same solution.
    """

    def batches(self, data: Corpus, rank: int, world_size: int) -> Iterable[TitleBatch]:
        return TitleBlocks(data.train, data.score, rows=len(data.train))

    def accumulate(self, batch: TitleBatch) -> None:
        self.titles = batch

    def reduce(self) -> None:
        """Do nothing: every process has all titles."""

    def solve(self) -> None:
        self.learn(self.titles)
        self.log("train/unit_mse", self.unit_mse(self(self.titles), self.titles.score))

    @abstractmethod
    def learn(self, titles: TitleBatch) -> None:
        """Compute the parameters from the training titles, into registered buffers."""


class Mean(ClosedForm):
    """Predict the mean training score for every title; the baseline of all score models."""

    uses_seed: ClassVar[bool] = False
    mean: Tensor

    def __init__(self) -> None:
        super().__init__(branches={})

    def allocate(self) -> None:
        self.register_buffer("mean", self.low.new_zeros(()))

    def learn(self, titles: TitleBatch) -> None:
        self.mean = titles.score.mean()

    def forward(self, batch: TitleBatch) -> Tensor:
        return self.mean.expand(len(batch.index))
