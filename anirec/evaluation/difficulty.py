"""Difficulty of titles: the absolute error to expect of a prediction, from the surface of the title."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.titles.surface import surface
from anirec.metrics.variation import ROUNDING

PENALTY = 20.0  # L2, in titles: few features and hundreds of titles
EASIEST, HARDEST = 0.5, 2.0  # times the mean error


@dataclass(frozen=True)
class Difficulty:
    """Ridge regression of the absolute error on surface features and the prediction.

    Args:
        features: feature, centre, scale and coefficient, one row per feature.
        mean: Mean absolute error.
    """

    features: pl.DataFrame
    mean: float

    @classmethod
    def fit(cls, titles: pl.DataFrame, prediction: NDArray[np.floating], error: NDArray[np.floating]) -> "Difficulty":
        """Fit to titles that the model was not trained on; other ones must calibrate the intervals."""
        columns = inputs(titles, prediction)
        x, size = columns.to_numpy().astype(np.float64), np.abs(error)
        centre, scale = x.mean(axis=0), x.std(axis=0)
        scale[scale <= ROUNDING * np.abs(centre)] = np.inf
        z = (x - centre) / scale
        coefficient = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (size - size.mean()))
        names = {"feature": columns.columns, "centre": centre, "scale": scale, "coefficient": coefficient}
        return cls(pl.DataFrame(names), float(size.mean()))

    def predict(self, titles: pl.DataFrame, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the expected absolute errors, (n,), > 0; a feature that the titles lack counts as average."""
        columns = inputs(titles, prediction)
        expected = np.full(len(columns), self.mean)
        for name, centre, scale, coefficient in self.features.iter_rows():
            if name in columns.columns:
                expected += coefficient * (columns[name].to_numpy().astype(np.float64) - centre) / scale
        return expected.clip(EASIEST * self.mean, HARDEST * self.mean)

    def table(self) -> pl.DataFrame:
        return self.features.with_columns(mean=pl.lit(self.mean))

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> "Difficulty":
        return cls(table.drop("mean"), table["mean"][0])


def inputs(titles: pl.DataFrame, prediction: NDArray[np.floating]) -> pl.DataFrame:
    return pl.DataFrame({"prediction": prediction}).hstack(surface(titles).get_columns())
