"""95 % bootstrap intervals of a group's metrics, from the tables its runs left.

Users are resampled; where predictions have no user, clusters of titles are, or items, and else rows. All members of a
group (seeds, folds) see the same resamples, so that the interval is that of their mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.bootstrap import FEWEST_UNITS, percentile_interval, resampled_order, resampled_sums
from anirec.metrics.definition import Metric, OrderMetric
from anirec.metrics.names import MetricName
from anirec.report.runs import Run

Interval = tuple[float, float]
UNITS = ("user_id", "cluster", "item_id")
TABLES = {"rating": "predictions", "score": "predictions", "ranking": "recommendations"}


@dataclass(frozen=True)
class Units:
    """The rows of one run's table, and which of the group's units each belongs to."""

    table: pl.DataFrame
    unit: NDArray[np.int64]
    n_units: int

    def columns(self, metric: Metric) -> list[NDArray[Any]]:
        """What a metric of rows takes, in the precision of the table."""
        return [self.table[column].to_numpy() for column in metric.function.columns]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_units,) values summed by unit."""
        return np.asarray(np.bincount(self.unit, weights=values, minlength=self.n_units), dtype=np.float64)


@dataclass(frozen=True)
class Asked:
    """A metric and the length of its lists, 0 for rating metrics."""

    metric: Metric
    k: int

    def can_use(self, table: pl.DataFrame) -> bool:
        """Whether the table has all that the metric takes; `span` came with the metrics that need it."""
        return self.metric.kind == "ranking" or set(self.metric.function.columns) <= set(table.columns)

    def statistics(self, units: Units) -> NDArray[np.float64]:
        """(n_units, s): what `value` needs the sums of; first how many rows, or users, each unit has."""
        if self.metric.kind == "ranking":
            hits_uk, n_relevant_u = hits_of(units, self.k)
            is_ranked_u = n_relevant_u > 0
            value_u = self.metric.function(hits_uk, np.maximum(n_relevant_u, 1))
            return np.stack([is_ranked_u, np.where(is_ranked_u, value_u, 0.0)], axis=1)
        columns = units.columns(self.metric)
        terms = [np.ones(len(columns[0])), *self.metric.function.summands(*columns)]
        return np.stack([units.sums(term) for term in terms], axis=1)

    def value(self, n: NDArray[np.float64], *sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric of (B,) resampled sums."""
        if self.metric.kind == "ranking":
            return sums[0] / n
        return self.metric.function.value(n, *sums)


def intervals(members: Sequence[Run], names: Iterable[str]) -> dict[str, Interval]:
    """Name to (low, high), for the names that the members' tables suffice for: rating and ranking metrics.

    Fewer than `FEWEST_UNITS` units give none.
    """
    by_table: dict[tuple[str, str], dict[str, Asked]] = {}
    for name in names:
        parsed = MetricName.parse(name)
        if parsed.declared and not parsed.segment and parsed.declared.kind in TABLES:
            asked = Asked(parsed.declared, parsed.k or 0)
            by_table.setdefault((TABLES[asked.metric.kind], parsed.split), {})[name] = asked
    found: dict[str, Interval] = {}
    for (table, split), of_table in by_table.items():
        tables = [rows for member in members if (rows := member.table(table, split)) is not None]
        if len(tables) == len(members):
            units = shared_units(tables)
            if units[0].n_units < FEWEST_UNITS:
                continue
            asked_of = {name: one for name, one in of_table.items() if all(one.can_use(rows) for rows in tables)}
            by_order = {name: one for name, one in asked_of.items() if isinstance(one.metric.function, OrderMetric)}
            of_sums = {name: one for name, one in asked_of.items() if name not in by_order}
            found |= intervals_of(units, of_sums) if of_sums else {}
            found |= {name: interval_of_order(units, one.metric) for name, one in by_order.items()}
    return {name: interval for name, interval in found.items() if np.isfinite(interval).all()}


def intervals_of(members: list[Units], names: dict[str, Asked]) -> dict[str, Interval]:
    """One resampling for all metrics and members: their statistics stand side by side."""
    statistics = [[asked.statistics(units) for units in members] for asked in names.values()]
    sums_bs = resampled_sums(np.concatenate([one for metric in statistics for one in metric], axis=1))
    found, column = {}, 0
    for (name, asked), metric in zip(names.items(), statistics, strict=True):
        values = []
        for one in metric:
            with np.errstate(divide="ignore", invalid="ignore"):
                values.append(asked.value(*sums_bs[:, column : column + one.shape[1]].T))
            column += one.shape[1]
        found[name] = percentile_interval(np.mean(values, axis=0))
    return found


def interval_of_order(members: list[Units], metric: Metric) -> Interval:
    """Of a metric that is no function of sums: every resample costs a look at all rows."""
    values = [
        resampled_order(metric.function, *one.columns(metric), unit=one.unit, n_units=one.n_units) for one in members
    ]
    return percentile_interval(np.mean(values, axis=0))


def hits_of(units: Units, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Hits (n_units, k) and number of relevant items (n_units,) of a table of recommendations; none without a list."""
    n_relevant_u = np.zeros(units.n_units, dtype=np.int64)
    n_relevant_u[units.unit] = units.table["n_relevant"].to_numpy()
    rank = units.table["rank"].to_numpy()
    within = rank <= k
    hits_uk = np.zeros((units.n_units, k), dtype=bool)
    hits_uk[units.unit[within], rank[within] - 1] = units.table["relevant"].to_numpy()[within]
    return hits_uk, n_relevant_u


def shared_units(tables: list[pl.DataFrame]) -> list[Units]:
    """Number the units of all tables alike."""
    column = next((name for name in UNITS if all(name in table.columns for table in tables)), None)
    ids = [table[column] if column else pl.Series(np.arange(len(table))) for table in tables]
    if len({one.dtype for one in ids}) > 1:
        ids = [one.cast(pl.String) for one in ids]
    # Ranks begin at 1; rows of unknown users have no id, and share a unit.
    number = pl.concat(ids).rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
    number = number - number.min()
    parts = np.split(number, np.cumsum([len(table) for table in tables])[:-1])
    return [Units(table, part, int(number.max()) + 1) for table, part in zip(tables, parts, strict=True)]
