"""What every model of a title's score shares: branches that see the title, and the scale of the scores."""

from abc import abstractmethod
from collections.abc import Mapping
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
from anirec.notices import warn


class ScoreModel(Branched):
    """Predicts the mean score of a title, 1-10, from what its branches make of synopsis, characters and pictures.

    Branches are fitted on the training titles, once, and go into the checkpoint.

    Args:
        branches: By name; each is one modality.
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

    def setup(self, stage: str) -> None:
        if not self.is_fitted:
            self.cut_texts_at = self.data.cleaning.cut_texts_at
            self.fit(self.data.titles[self.data.train])
            self.look(self.data.titles, cache=self.data.cache, device=self.trainer.strategy.root_device)
            self.is_fitted = True
            self.warn_of_gaps()

    def warn_of_gaps(self) -> None:
        """Say what the branches do not see, and what they see too early."""
        for name, branch in self.branches.items():
            n_titles = branch.coverage.get("titles", 0)  # type: ignore[union-attr, operator]
            n_seen = next((n for what, n in branch.coverage.items() if what.startswith("with_")), n_titles)  # type: ignore[union-attr, operator]
            if n_seen < n_titles:
                warn(f"{name}: {n_seen} of {n_titles} titles have it; the others are known to lack it")
            if branch.later:
                warn(f"{name} uses what is decided after money is spent: this is no forecast for a pitch")

    def fit(self, titles: pl.DataFrame) -> None:
        score = torch.from_numpy(titles["score"].to_numpy(writable=True))
        self.low.copy_(score.min())
        self.span.copy_((score.max() - score.min()).clamp_min(1e-6))
        super().fit(titles)

    def unit_mse(self, prediction: Tensor, score: Tensor) -> Tensor:
        """The error as published: on scores that the training set's lowest and highest make 0 and 1."""
        return (((prediction - score) / self.span) ** 2).mean()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["cut_texts_at"] = self.cut_texts_at

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.cut_texts_at = checkpoint["cut_texts_at"]
        super().on_load_checkpoint(checkpoint)

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Scores of titles that need not exist yet: `synopsis`, and lists `descriptions`, `portraits` where known."""
        titles = titles_of(rows, cut_at=self.cut_texts_at)
        self.look(titles, cache=cache, device=self.device)
        unscored = np.full(len(titles), np.nan, dtype=np.float32)
        blocks = TitleBlocks(np.arange(len(titles)), unscored, rows=EVALUATION_ROWS)
        predictions = torch.cat([self(batch) for batch in blocks])
        return predictions.numpy(), {"titles without a synopsis": titles["synopsis"].null_count()}

    @abstractmethod
    def forward(self, batch: TitleBatch) -> Tensor:
        """(B,): scores on the site's scale."""
