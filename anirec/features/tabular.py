"""The branches of tabular data: categories, numbers and dates of a title, and counts of words and characters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import torch
from annotated_types import Len
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError
from anirec.features.branch import Branch, Members
from anirec.features.tokens import texts_of
from anirec.metrics.variation import is_constant, standard_deviation

FEWEST = 2  # minimum number of training titles with a category for it to be a column


class Tabular(Branch):
    """Categories as binary columns, numbers standardised on training titles, and dates as years.

    An unknown number is replaced by the mean, with a column that says so. A category that is not in the training
    titles is ignored. These facts are known only once a title is in production.

    Args:
        columns: Columns of the items table.
    """

    later = True

    def __init__(self, *, columns: Annotated[list[str], Len(1)]) -> None:
        super().__init__()
        self.columns, self.requires, self.frozen = list(columns), frozenset(columns), True

    def fit(self, titles: pl.DataFrame) -> None:
        if lacking := [column for column in self.columns if column not in titles.columns]:
            raise UserError(f"columns: the titles have no {', '.join(lacking)}; they have {', '.join(titles.columns)}")
        self.learned = {column: fit_column(titles[column]) for column in self.columns}
        self.width = sum(column_width(of_column) for of_column in self.learned.values())

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        blocks = [encode_column(titles, column, of_column) for column, of_column in self.learned.items()]
        self.values = np.concatenate([values for values, _ in blocks], axis=1)
        self.present = np.any([known for _, known in blocks], axis=0)
        self.coverage = {"titles": len(titles), "with_facts": int(self.present.sum())}

    def forward(self, index: Tensor) -> Members:
        rows = index.cpu().numpy()
        values = torch.from_numpy(self.values[rows] * self.present[rows, None]).unsqueeze(1)
        return Members(values.to(self.device), torch.from_numpy(self.present[rows]).unsqueeze(1).to(self.device))

    def lengths(self) -> NDArray[np.int64]:
        return np.ones(len(self.values), np.int64)

    def description(self) -> dict[str, Any]:
        return {"learned": self.learned, "width": self.width}

    def restore(self, description: Mapping[str, Any]) -> None:
        self.learned, self.width = dict(description["learned"]), description["width"]

    def names(self) -> list[str]:
        """Return the names of the columns of the vectors, (width,)."""
        return [f"{column}={name}" for column, known in self.learned.items() for name in known.get("names", NUMBER)]


NUMBER = ("value", "unknown")


def fit_column(values: pl.Series) -> dict[str, Any]:
    """Fit a column: return the `names` of its categories, or the `mean` and `std` of its numbers."""
    values = to_values(values)
    if values.dtype in (pl.List, pl.String):
        names = (values.explode() if values.dtype == pl.List else values).drop_nulls().value_counts(name="n")
        kept = names.filter(pl.col("n") >= FEWEST)[:, 0].sort()
        return {"names": kept.to_list()}
    std = 1.0 if is_constant(values.drop_nulls().to_numpy()) else float(values.std())  # type: ignore[arg-type]
    return {"mean": float(values.mean() or 0.0), "std": std}  # type: ignore[arg-type]


def to_values(values: pl.Series) -> pl.Series:
    """Convert dates to years and numbers to floats; text and lists are unchanged."""
    if values.dtype.is_temporal():
        values = values.dt.year()
    return values if values.dtype in (pl.List, pl.String) else values.cast(pl.Float64)


def column_width(of_column: Mapping[str, Any]) -> int:
    return len(of_column.get("names", NUMBER))


def encode_column(
    titles: pl.DataFrame, column: str, of_column: Mapping[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the encoded column, (n, width) float32, and which titles have a known value in it, (n,) bool."""
    n = len(titles)
    if column not in titles.columns:
        empty = np.zeros((n, column_width(of_column)), np.float32)
        empty[:, 1:] = 0 if "names" in of_column else 1
        return empty, np.zeros(n, bool)
    values = to_values(titles[column])
    if "names" in of_column:
        place = {name: i for i, name in enumerate(of_column["names"])}
        rows = values.to_list() if values.dtype == pl.List else [[value] for value in values.to_list()]
        pairs = [(row, place[name]) for row, names in enumerate(rows) for name in names or [] if name in place]
        flags = np.zeros((n, len(place)), np.float32)
        if pairs:
            flags[tuple(np.array(pairs).T)] = 1
        return flags, np.array([any(name is not None for name in names or []) for names in rows], bool)
    known = values.is_not_null().to_numpy()
    scaled = (values.fill_null(of_column["mean"]).to_numpy() - of_column["mean"]) / of_column["std"]
    return np.stack([scaled, ~known], axis=1).astype(np.float32), known


Countable = Literal["synopsis_words", "descriptions_words", "n_main_characters"]
# The counts, and the column of the dataset that each is computed from.
COUNTED: dict[Countable, str] = {
    "synopsis_words": "synopsis",
    "descriptions_words": "description",
    "n_main_characters": "character_id",
}


class Counts(Branch):
    """log(1 + count) of words or characters, standardised on training titles.

    Args:
        columns: Any of synopsis_words, descriptions_words and n_main_characters.
    """

    def __init__(self, *, columns: Annotated[list[Countable], Len(1)]) -> None:
        super().__init__()
        self.columns, self.frozen = list(columns), True
        self.requires = frozenset(COUNTED[column] for column in columns)
        self.width = len(columns)

    def fit(self, titles: pl.DataFrame) -> None:
        counts = self.log_counts(titles)
        self.mean, self.std = np.nanmean(counts, axis=0), standard_deviation(counts)

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        # Unknown counts are replaced by the mean of the training titles.
        self.values = np.nan_to_num((self.log_counts(titles) - self.mean) / self.std, nan=0.0).astype(np.float32)
        self.coverage = {"titles": len(titles)}

    def log_counts(self, titles: pl.DataFrame) -> NDArray[np.float64]:
        """Return the logarithms of 1 + count, (n, width)."""
        return np.log1p(np.stack([count_titles(titles, column) for column in self.columns], axis=1))

    def forward(self, index: Tensor) -> Members:
        values = torch.from_numpy(self.values[index.cpu().numpy()]).unsqueeze(1).to(self.device)
        return Members(values, torch.ones(len(index), 1, dtype=torch.bool, device=self.device))

    def lengths(self) -> NDArray[np.int64]:
        return np.ones(len(self.values), np.int64)

    def description(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def restore(self, description: Mapping[str, Any]) -> None:
        self.mean, self.std = np.array(description["mean"]), np.array(description["std"])


def count_titles(titles: pl.DataFrame, column: str) -> NDArray[np.float64]:
    """Return the number of words of each title, 0 without a text; or of main characters, NaN where unknown; (n,)."""
    if column == "n_main_characters":
        known = titles[column] if column in titles.columns else pl.Series([0] * len(titles))
        return known.cast(pl.Float64).to_numpy()
    texts = texts_of(titles, column.removesuffix("_words"), join=True)
    return np.array([len((text or "").split()) for (text,) in texts], np.float64)
