"""Runs of several groups evaluated on the same resamples of the same units, the input of the paired tests."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.definition import FloatColumn, OrderMetric
from anirec.metrics.names import MetricName
from anirec.metrics.resampling import resampled_order, resampled_sums
from anirec.metrics.variation import to_float64
from anirec.report.groups import Group
from anirec.report.intervals import TABLES, UNITS, RequestedMetric, Units, shared_units
from anirec.report.runs import Run


def unit_losses(requested: RequestedMetric, units: Units) -> NDArray[np.float64]:
    """Return the loss of each unit alone, (U,), lower is better.

    This is the metric of the unit's rows; for correlations and R², which need many rows, it is the mean squared
    difference of the columns transformed as in `SCALES`.
    """
    metric = requested.metric
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric.name in SCALES:
            prediction, target = (SCALES[metric.name](to_float64(column)) for column in units.columns(metric))
            return units.sums((prediction - target) ** 2) / units.sums(np.ones_like(target))
        value = requested.value(*requested.statistics(units).T)
    return value if metric.lower_is_better else -value


def unscaled(column: FloatColumn) -> FloatColumn:
    return column


def standardised(column: FloatColumn) -> FloatColumn:
    return (column - column.mean()) / column.std()


def ranked(column: FloatColumn) -> FloatColumn:
    return pl.Series(column).rank("average").to_numpy()


# R² decreases with squared differences, Pearson's r with those of standardised values, rank correlations with those
# of ranks.
SCALES: dict[str, Callable[[FloatColumn], FloatColumn]] = {
    "r2": unscaled,
    "pearson": standardised,
    "spearman": ranked,
    "kendall": ranked,
}


RESAMPLES = 9_999
ORDER_RESAMPLES = 1_999  # slow; the smallest p-value, 1 / 2000, is still below 5% after correction for 66 pairs
MAX_UNITS = 2_000
CALLED = {"user_id": "users", "cluster": "clusters", "item_id": "titles"}
IDS = ("user_id", "item_id", "post_id")


@dataclass(frozen=True)
class PairedRuns:
    """Metrics of R runs on shared units.

    Attributes:
        groups: Group of each run.
        splits: Split of each run.
        value: The metric, (R,).
        resampled: The metric in every resample, (R, B).
        loss: Loss of each unit alone, (R, U), lower is better; NaN for units without rows.
        unit: Name of the units: "users", "clusters", "titles" or "rows".
    """

    groups: list[Group]
    splits: list[str]
    value: NDArray[np.float64]
    resampled: NDArray[np.float64]
    loss: NDArray[np.float64]
    unit: str

    def shared_splits(self, one: Group, other: Group) -> set[str]:
        """Return the splits that both groups have."""
        of_one, of_other = (
            {split for group, split in zip(self.groups, self.splits, strict=True) if group is wanted}
            for wanted in (one, other)
        )
        return of_one & of_other

    def means(self, group: Group, splits: set[str]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return a group's value, resampled values (B,) and losses (U,), averaged over runs and then splits."""
        own = [
            split if g is group and split in splits else "" for g, split in zip(self.groups, self.splits, strict=True)
        ]
        used = [place for place, split in enumerate(own) if split]
        weight_r = np.array([1 / own.count(own[place]) / len(splits) for place in used])
        has_rows_ru = np.isfinite(self.loss[used])
        with np.errstate(invalid="ignore"):
            loss_u = (weight_r @ np.where(has_rows_ru, self.loss[used], 0.0)) / (weight_r @ has_rows_ru)
        return float(weight_r @ self.value[used]), weight_r @ self.resampled[used], loss_u


def paired_runs(groups: Sequence[Group], metric: str) -> PairedRuns | None:
    """Evaluate the runs that saved a table with the rows of their split; None if there are none.

    The rows of a split are those that most groups have, on a tie those of the better group; runs evaluated on other
    rows are left out. Tables are read twice, so that only one per split is kept in memory.

    Args:
        groups: Best first.
        metric: Name as logged.
    """
    parsed = MetricName.parse(metric)
    if parsed.declared is None:
        raise ValueError(f"{metric} is not a metric that can be resampled")
    requested = RequestedMetric(parsed.declared, parsed.k or 0)
    runs = runs_on_the_same_rows(groups, requested, parsed.split)
    if not runs:
        return None
    sources: dict[str, Run] = {}
    for _, run in runs:
        sources.setdefault(split_of(run), run)
    read = {split: sorted_rows(run, requested, parsed.split) for split, run in sources.items()}
    references = {split: rows for split, rows in read.items() if rows is not None}
    measured = []
    for group, run in runs:
        split = split_of(run)
        found = references[split] if sources[split] is run else sorted_rows(run, requested, parsed.split)
        if found is not None:
            units = shared_units([*references.values(), found])[-1]
            measured.append((group, split, resampling_input(requested, units), unit_losses(requested, units)))
    of_groups, splits, summaries, loss = (list(column) for column in zip(*measured, strict=True))
    column = next((name for name in UNITS if all(name in rows.columns for rows in references.values())), "")
    return PairedRuns(of_groups, splits, *resampled(requested, summaries), np.stack(loss), CALLED.get(column, "rows"))


def runs_on_the_same_rows(groups: Sequence[Group], requested: RequestedMetric, split: str) -> list[tuple[Group, Run]]:
    """Return the runs with the rows that most groups have for their split."""
    runs, groups_with = [], defaultdict[str, dict[str, set[int]]](dict)
    for group in groups:
        for run in group.members:
            if (rows := sorted_rows(run, requested, split)) is not None:
                runs.append((group, run, rows_digest := digest(evaluated_rows(rows))))
                groups_with[split_of(run)].setdefault(rows_digest, set()).add(id(group))
    # On a tie, max returns the first, which belongs to the better group.
    usual = {split: max(found, key=lambda one: len(found[one])) for split, found in groups_with.items()}
    return [(group, run) for group, run, rows_digest in runs if rows_digest == usual[split_of(run)]]


def split_of(run: Run) -> str:
    """Return a key that is equal for runs with the same training and test rows."""
    return f"{run.split_replicate} {run.split.get('fingerprint')}"


def sorted_rows(run: Run, requested: RequestedMetric, split: str) -> pl.DataFrame | None:
    """Return the run's table sorted by ids, as several processes may have written it; None if there is none."""
    rows = run.table(TABLES[requested.metric.kind], split)
    if rows is None or not set(IDS).intersection(rows.columns):
        return rows
    return rows.sort(name for name in (*IDS, "target") if name in rows.columns)


def evaluated_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that identify the evaluated rows, or the users of the ranked lists."""
    if "n_relevant" in rows.columns:
        return rows.select("user_id", "n_relevant").unique(maintain_order=True)
    return rows.select(name for name in (*IDS, "target") if name in rows.columns)


def digest(rows: pl.DataFrame) -> str:
    """Return a hash that is equal, within a process, for equal columns and rows."""
    return hashlib.sha256(f"{rows.columns}".encode() + rows.hash_rows().to_numpy().tobytes()).hexdigest()


def resampling_input(requested: RequestedMetric, units: Units) -> NDArray[np.float64]:
    """Return the sums by unit (U, s); for an order metric, its value and resampled values (1 + B,)."""
    function = requested.metric.function
    if not isinstance(function, OrderMetric):
        return requested.statistics(units)
    prediction, target = units.columns(requested.metric)
    resampled_b = resampled_order(
        function,
        prediction,
        target,
        unit=units.unit,
        n_units=units.n_units,
        resamples=ORDER_RESAMPLES,
        max_units=MAX_UNITS,
    )
    return np.append(function(prediction, target), resampled_b)


def resampled(
    requested: RequestedMetric, summaries: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return value (R,) and resampled values (R, B) of all runs, from one resampling."""
    if isinstance(requested.metric.function, OrderMetric):
        both = np.stack(summaries)
        return both[:, 0], both[:, 1:]
    sums_bc = resampled_sums(np.concatenate(summaries, axis=1), resamples=RESAMPLES, max_units=MAX_UNITS)
    sums_srb = sums_bc.reshape(RESAMPLES, len(summaries), -1).transpose(2, 1, 0)
    totals_sr = np.stack([one.sum(axis=0) for one in summaries], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return requested.value(*totals_sr), requested.value(*sums_srb)
