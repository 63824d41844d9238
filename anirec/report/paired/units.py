"""How badly a model does for each unit (user, cluster, title, row) alone: tells for how many of them it is better."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.definition import Column
from anirec.metrics.variation import settled
from anirec.report.intervals import Asked, Units


def losses(asked: Asked, units: Units) -> NDArray[np.float64]:
    """(U,): the metric of each unit alone; where few rows have none, the mean squared difference in its `SCALES`."""
    metric = asked.metric
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric.name in SCALES:
            prediction, target = (SCALES[metric.name](settled(column)) for column in units.columns(metric))
            return units.sums((prediction - target) ** 2) / units.sums(np.ones_like(target))
        value = asked.value(*asked.statistics(units).T)
    return value if metric.lower_is_better else -value


def unscaled(column: Column) -> Column:
    return column


def standardised(column: Column) -> Column:
    return (column - column.mean()) / column.std()


def ranked(column: Column) -> Column:
    return pl.Series(column).rank("average").to_numpy()


# R² falls with the squared differences, Pearson's r with those of standardised values, Spearman's with those of ranks.
SCALES: dict[str, Callable[[Column], Column]] = {
    "r2": unscaled,
    "pearson": standardised,
    "spearman": ranked,
    "kendall": ranked,
}
