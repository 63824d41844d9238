"""95% bootstrap intervals of a group's metrics, computed from the tables of its runs.

Users are resampled; predictions without users are resampled by clusters of titles, by items, or else by rows. All
members of a group (seeds, folds) use the same resamples, so the interval is that of their mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.definition import Metric, OrderMetric
from anirec.metrics.names import MetricName
from anirec.metrics.resampling import FEWEST_ROWS, FEWEST_UNITS, percentile_interval, resampled_order, resampled_sums
from anirec.report.runs import Run

Interval = tuple[float, float]
UNITS = ("user_id", "cluster", "item_id")
TABLES = {"rating": "predictions", "score": "predictions", "ranking": "recommendations"}


@dataclass(frozen=True)
class Units:
    """The rows of one run's table, and the index of the resampling unit of each row."""

    table: pl.DataFrame
    unit: NDArray[np.int64]
    n_units: int

    def columns(self, metric: Metric) -> list[NDArray[Any]]:
        """Return the columns that a row metric takes, in the precision of the table."""
        return [self.table[column].to_numpy() for column in metric.function.columns]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values by unit, (n_units,)."""
        return np.asarray(np.bincount(self.unit, weights=values, minlength=self.n_units), dtype=np.float64)


@dataclass(frozen=True)
class RequestedMetric:
    """A metric and its list length, 0 for rating metrics."""

    metric: Metric
    k: int

    def can_use(self, table: pl.DataFrame) -> bool:
        """Return whether the table has all columns of the metric; older tables may lack `span`."""
        return self.metric.kind == "ranking" or set(self.metric.function.columns) <= set(table.columns)

    def statistics(self, units: Units) -> NDArray[np.float64]:
        """Return the sums that `value` needs, by unit, (n_units, s); the first is the number of rows or users."""
        if self.metric.kind == "ranking":
            hits_uk, n_relevant_u = hits_of(units, self.k)
            is_ranked_u = n_relevant_u > 0
            value_u = self.metric.function(hits_uk, np.maximum(n_relevant_u, 1))
            return np.stack([is_ranked_u, np.where(is_ranked_u, value_u, 0.0)], axis=1)
        columns = units.columns(self.metric)
        terms = [np.ones(len(columns[0])), *self.metric.function.summands(*columns)]
        return np.stack([units.sums(term) for term in terms], axis=1)

    def value(self, n: NDArray[np.float64], *sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the metric from resampled sums, (B,) each."""
        if self.metric.kind == "ranking":
            return sums[0] / n
        return self.metric.function.value(n, *sums)


def intervals(members: Sequence[Run], names: Iterable[str]) -> dict[str, Interval]:
    """Return name to (low, high) for the rating and ranking metrics that can be computed from the members' tables.

    With fewer than `FEWEST_UNITS` units, or fewer than `FEWEST_ROWS` rows or lists, there are no intervals.
    """
    by_table: dict[tuple[str, str], dict[str, RequestedMetric]] = {}
    for name in names:
        parsed = MetricName.parse(name)
        if parsed.declared and not parsed.segment and parsed.declared.kind in TABLES:
            requested = RequestedMetric(parsed.declared, parsed.k or 0)
            by_table.setdefault((TABLES[requested.metric.kind], parsed.split), {})[name] = requested
    found: dict[str, Interval] = {}
    for (table, split), of_table in by_table.items():
        tables = [rows for member in members if (rows := member.table(table, split)) is not None]
        if len(tables) == len(members):
            units = shared_units(tables)
            n_rows = units[0].n_units if table == "recommendations" else count_rows(members, tables)
            if units[0].n_units < FEWEST_UNITS or n_rows < FEWEST_ROWS:
                continue
            available = {name: one for name, one in of_table.items() if all(one.can_use(rows) for rows in tables)}
            by_order = {name: one for name, one in available.items() if isinstance(one.metric.function, OrderMetric)}
            of_sums = {name: one for name, one in available.items() if name not in by_order}
            found |= intervals_of(units, of_sums) if of_sums else {}
            found |= {name: interval_of_order(units, one.metric) for name, one in by_order.items()}
    return {name: interval for name, interval in found.items() if np.isfinite(interval).all()}


def count_rows(members: Sequence[Run], tables: Sequence[pl.DataFrame]) -> int:
    """Return the number of evaluated rows of all members, those of each split once."""
    return sum({run.split_replicate: len(rows) for run, rows in zip(members, tables, strict=True)}.values())


def intervals_of(members: list[Units], names: dict[str, RequestedMetric]) -> dict[str, Interval]:
    """Compute the intervals of all metrics from one resampling of all members."""
    statistics = [[requested.statistics(units) for units in members] for requested in names.values()]
    sums_bs = resampled_sums(np.concatenate([one for metric in statistics for one in metric], axis=1))
    found, column = {}, 0
    for (name, requested), metric in zip(names.items(), statistics, strict=True):
        values = []
        for one in metric:
            with np.errstate(divide="ignore", invalid="ignore"):
                values.append(requested.value(*sums_bs[:, column : column + one.shape[1]].T))
            column += one.shape[1]
        found[name] = percentile_interval(np.mean(values, axis=0))
    return found


def interval_of_order(members: list[Units], metric: Metric) -> Interval:
    """Compute the interval of a metric that is not a function of sums; every resample uses all rows."""
    values = [
        resampled_order(metric.function, *one.columns(metric), unit=one.unit, n_units=one.n_units) for one in members
    ]
    return percentile_interval(np.mean(values, axis=0))


def hits_of(units: Units, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return hits (n_units, k) and number of relevant items (n_units,) of a table of recommendations."""
    n_relevant_u = np.zeros(units.n_units, dtype=np.int64)
    n_relevant_u[units.unit] = units.table["n_relevant"].to_numpy()
    rank = units.table["rank"].to_numpy()
    within = rank <= k
    hits_uk = np.zeros((units.n_units, k), dtype=bool)
    hits_uk[units.unit[within], rank[within] - 1] = units.table["relevant"].to_numpy()[within]
    return hits_uk, n_relevant_u


def shared_units(tables: list[pl.DataFrame]) -> list[Units]:
    """Number the units of all tables consistently."""
    column = next((name for name in UNITS if all(name in table.columns for table in tables)), None)
    ids = [table[column] if column else pl.Series(np.arange(len(table))) for table in tables]
    if len({one.dtype for one in ids}) > 1:
        ids = [one.cast(pl.String) for one in ids]
    # Ranks begin at 1; rows of unknown users have no id and share unit 0.
    number = pl.concat(ids).rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
    number = number - number.min()
    parts = np.split(number, np.cumsum([len(table) for table in tables])[:-1])
    return [Units(table, part, int(number.max()) + 1) for table, part in zip(tables, parts, strict=True)]
