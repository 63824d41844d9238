"""The runs of several groups, all measured in the same resamples of the same units: what pairs are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.bootstrap import resampled_order, resampled_sums
from anirec.metrics.declared import OrderMetric
from anirec.metrics.names import MetricName
from anirec.report.groups import Group
from anirec.report.intervals import TABLES, UNITS, Asked, Units, shared_units
from anirec.report.losses import losses
from anirec.report.runs import Run

RESAMPLES = 9_999
ORDER_RESAMPLES = 1_999  # slow; the least p-value, 1 / 2000, is still below 5 % after Holm's correction of 66 pairs
MAX_UNITS = 2_000
CALLED = {"user_id": "users", "cluster": "clusters", "item_id": "titles"}
IDS = ("user_id", "item_id", "post_id")


@dataclass(frozen=True)
class PairedRuns:
    """R runs.

    Attributes:
        groups: What each is a member of.
        splits: What each was measured on.
        value: Of the metric, (R,).
        resampled: The same in every resample, (R, B).
        loss: How badly the model does for each unit alone, (R, U), lower is better; NaN for units without rows.
        unit: What the units are: "users", "clusters", "titles" or "rows".
    """

    groups: list[Group]
    splits: list[str]
    value: NDArray[np.float64]
    resampled: NDArray[np.float64]
    loss: NDArray[np.float64]
    unit: str

    def shared_splits(self, one: Group, other: Group) -> set[str]:
        of_one, of_other = (
            {split for group, split in zip(self.groups, self.splits, strict=True) if group is wanted}
            for wanted in (one, other)
        )
        return of_one & of_other

    def means(self, group: Group, splits: set[str]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Value, resampled values (B,) and losses (U,) of a group: over the splits, of each the mean over its runs."""
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
    """Measure the runs that left a table with the rows of their split; None if there are none.

    A split's rows are those of the first group that has it: runs that were asked anything else are left out. Every
    table is read once, and only those first ones are kept.
    """
    parsed = MetricName.parse(metric)
    if parsed.declared is None:
        raise ValueError(f"{metric} is no metric of rows")
    asked = Asked(parsed.declared, parsed.k or 0)
    runs = [(group, run) for group in groups for run in group.members]
    first: dict[str, tuple[Run, pl.DataFrame]] = {}
    for _, run in runs:
        if split_of(run) not in first and (rows := rows_of(run, asked, parsed.split)) is not None:
            first[split_of(run)] = run, rows
    references = [rows for _, rows in first.values()]
    measured = []
    for group, run in runs:
        if (split := split_of(run)) in first:
            source, expected = first[split]
            found = expected if source is run else rows_of(run, asked, parsed.split)
            if found is not None and question(found).equals(question(expected)):
                units = shared_units([*references, found])[-1]
                measured.append((group, split, summary(asked, units), losses(asked, units)))
    if not measured:
        return None
    of_groups, splits, summaries, loss = (list(column) for column in zip(*measured, strict=True))
    column = next((name for name in UNITS if all(name in rows.columns for rows in references)), "")
    return PairedRuns(of_groups, splits, *resampled(asked, summaries), np.stack(loss), CALLED.get(column, "rows"))


def split_of(run: Run) -> str:
    """Equal for runs with the same training and test rows."""
    return f"{run.split.get('fold')} {run.split.get('fingerprint')}"


def rows_of(run: Run, asked: Asked, split: str) -> pl.DataFrame | None:
    """The run's table in an order of its own, as processes may have shared the work; None without one."""
    rows = run.table(TABLES[asked.metric.kind], split)
    if rows is None or not set(IDS).intersection(rows.columns):
        return rows
    return rows.sort(name for name in (*IDS, "target") if name in rows.columns)


def question(rows: pl.DataFrame) -> pl.DataFrame:
    """What a run was asked: for the lists of which users, or which rows."""
    if "n_relevant" in rows.columns:
        return rows.select("user_id", "n_relevant").unique(maintain_order=True)
    return rows.select(name for name in (*IDS, "target") if name in rows.columns)


def summary(asked: Asked, units: Units) -> NDArray[np.float64]:
    """What resampling needs of a run: sums by unit (U, s); of an order metric, it itself and resampled (1 + B,)."""
    function = asked.metric.function
    if not isinstance(function, OrderMetric):
        return asked.statistics(units)
    prediction, target = units.columns(asked.metric)
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


def resampled(asked: Asked, summaries: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value (R,) and resampled values (R, B) of all runs: one resampling for all of them."""
    if isinstance(asked.metric.function, OrderMetric):
        both = np.stack(summaries)
        return both[:, 0], both[:, 1:]
    sums_bc = resampled_sums(np.concatenate(summaries, axis=1), resamples=RESAMPLES, max_units=MAX_UNITS)
    sums_srb = sums_bc.reshape(RESAMPLES, len(summaries), -1).transpose(2, 1, 0)
    totals_sr = np.stack([one.sum(axis=0) for one in summaries], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return asked.value(*totals_sr), asked.value(*sums_srb)
