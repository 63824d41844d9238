"""The runs of several groups, all measured in the same resamples of the same units: what pairs are made of."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.bootstrap import resampled_order, resampled_sums
from anirec.metrics.definition import OrderMetric
from anirec.metrics.names import MetricName
from anirec.report.groups import Group
from anirec.report.intervals import TABLES, UNITS, Asked, Units, shared_units
from anirec.report.paired.units import losses
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

    A split's rows are those that most groups have, of equally many the first: runs that were asked anything else are
    left out. Tables are read twice, so that no more than one of each split is kept.

    Args:
        groups: Best first.
        metric: As logged.
    """
    parsed = MetricName.parse(metric)
    if parsed.declared is None:
        raise ValueError(f"{metric} is no metric of rows")
    asked = Asked(parsed.declared, parsed.k or 0)
    runs = asked_alike(groups, asked, parsed.split)
    if not runs:
        return None
    sources: dict[str, Run] = {}
    for _, run in runs:
        sources.setdefault(split_of(run), run)
    read = {split: rows_of(run, asked, parsed.split) for split, run in sources.items()}
    references = {split: rows for split, rows in read.items() if rows is not None}
    measured = []
    for group, run in runs:
        split = split_of(run)
        found = references[split] if sources[split] is run else rows_of(run, asked, parsed.split)
        if found is not None:
            units = shared_units([*references.values(), found])[-1]
            measured.append((group, split, summary(asked, units), losses(asked, units)))
    of_groups, splits, summaries, loss = (list(column) for column in zip(*measured, strict=True))
    column = next((name for name in UNITS if all(name in rows.columns for rows in references.values())), "")
    return PairedRuns(of_groups, splits, *resampled(asked, summaries), np.stack(loss), CALLED.get(column, "rows"))


def asked_alike(groups: Sequence[Group], asked: Asked, split: str) -> list[tuple[Group, Run]]:
    """The runs with the rows that most groups have of their split."""
    runs, groups_with = [], defaultdict[str, dict[str, set[int]]](dict)
    for group in groups:
        for run in group.members:
            if (rows := rows_of(run, asked, split)) is not None:
                runs.append((group, run, digest := digested(question(rows))))
                groups_with[split_of(run)].setdefault(digest, set()).add(id(group))
    # The first one of equally many: that of the better group.
    usual = {split: max(found, key=lambda one: len(found[one])) for split, found in groups_with.items()}
    return [(group, run) for group, run, digest in runs if digest == usual[split_of(run)]]


def split_of(run: Run) -> str:
    """Equal for runs with the same training and test rows."""
    return f"{run.split_replicate} {run.split.get('fingerprint')}"


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


def digested(rows: pl.DataFrame) -> str:
    """Equal, within a process, for equal columns and rows."""
    return hashlib.sha256(f"{rows.columns}".encode() + rows.hash_rows().to_numpy().tobytes()).hexdigest()


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
