"""Counts: how much there is of a title before money is spent: words of its texts, main characters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import torch
from annotated_types import Len
from numpy.typing import NDArray
from torch import Tensor

from anirec.features.branch import Branch, Members
from anirec.features.texts import texts_of
from anirec.metrics.variation import standard_deviation

Countable = Literal["synopsis_words", "descriptions_words", "n_main_characters"]
# What can be counted, and the column of the dataset that it is counted in.
COUNTED: dict[Countable, str] = {
    "synopsis_words": "synopsis",
    "descriptions_words": "description",
    "n_main_characters": "character_id",
}


class Counts(Branch):
    """log(1 + count) of each column, standardised on training titles.

    Args:
        columns: Of synopsis_words, descriptions_words and n_main_characters.
    """

    def __init__(self, *, columns: Annotated[list[Countable], Len(1)]) -> None:
        super().__init__()
        self.columns, self.frozen = list(columns), True
        self.requires = frozenset(COUNTED[column] for column in columns)
        self.width = len(columns)

    def fit(self, titles: pl.DataFrame) -> None:
        counts = self.counted(titles)
        self.mean, self.std = np.nanmean(counts, axis=0), standard_deviation(counts)

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        # What is not known counts as the mean of the training titles.
        self.values = np.nan_to_num((self.counted(titles) - self.mean) / self.std, nan=0.0).astype(np.float32)
        self.coverage = {"titles": len(titles)}

    def counted(self, titles: pl.DataFrame) -> NDArray[np.float64]:
        """(n, width): logarithms of 1 + count."""
        return np.log1p(np.stack([count(titles, column) for column in self.columns], axis=1))

    def forward(self, index: Tensor) -> Members:
        values = torch.from_numpy(self.values[index.cpu().numpy()]).unsqueeze(1).to(index.device)
        return Members(values, torch.ones(len(index), 1, dtype=torch.bool, device=index.device))

    def lengths(self) -> NDArray[np.int64]:
        return np.ones(len(self.values), np.int64)

    def description(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def restore(self, description: Mapping[str, Any]) -> None:
        self.mean, self.std = np.array(description["mean"]), np.array(description["std"])


def count(titles: pl.DataFrame, column: str) -> NDArray[np.float64]:
    """(n,): words between white space, 0 without a text; or main characters, NaN where unknown."""
    if column == "n_main_characters":
        known = titles[column] if column in titles.columns else pl.Series([0] * len(titles))
        return known.cast(pl.Float64).to_numpy()
    texts = texts_of(titles, column.removesuffix("_words"), join=True)
    return np.array([len((text or "").split()) for (text,) in texts], np.float64)
