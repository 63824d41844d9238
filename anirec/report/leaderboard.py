"""A family's groups as rows of numbers: what the terminal, Markdown and CSV all show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anirec.metrics.names import MetricName, has_direction, lower_is_better
from anirec.report.groups import Family, Group
from anirec.report.intervals import Interval, intervals

# What a reader asks first, after the metric sorted by.
FIRST = ("rmse", "ndcg", "mae", "hit_rate", "r2", "coverage", "recall", "diversity", "novelty")
FIRST_OF_SCORES = ("rmse", "pearson", "spearman", "r2", "mae", "unit_mse", "interval_coverage", "interval_width")
COUNTS = frozenset({"unknown_users", "unknown_items"})
COSTS = ("wall_seconds", "fit_seconds", "peak_memory_mb")


@dataclass(frozen=True)
class Row:
    """One group: mean and standard deviation over its runs of every metric that all of them have."""

    group: Group
    mean: dict[str, float]
    std: dict[str, float]
    interval: dict[str, Interval]
    cost: dict[str, float]

    @property
    def n_runs(self) -> int:
        return len(self.group.members)


@dataclass(frozen=True)
class Leaderboard:
    """Rows of one family, best first by `metric`; those without it last."""

    title: str
    metric: str
    rows: list[Row]
    floor: float | None

    @property
    def others(self) -> list[str]:
        """Further metrics of the same split, the telling ones first; no segments."""
        split = MetricName.parse(self.metric).split
        names = [name for name in metric_names(row.mean for row in self.rows) if name != self.metric]
        parsed = {name: MetricName.parse(name) for name in names}
        shown = [
            name
            for name in names
            if parsed[name].split == split and not parsed[name].segment and parsed[name].metric not in COUNTS
        ]
        metrics = {parsed[name].metric for name in names}
        first = FIRST_OF_SCORES if "pearson" in metrics else FIRST
        return sorted(shown, key=lambda name: first.index(m) if (m := parsed[name].metric) in first else len(first))

    def best(self, name: str) -> float | None:
        """The best mean of a metric; None unless there is something to beat, and a direction to beat it in."""
        values = [row.mean[name] for row in self.rows if name in row.mean]
        if len(values) < 2 or not has_direction(name):
            return None
        return min(values) if lower_is_better(name) else max(values)


def leaderboard(family: Family, metric: str, with_intervals: Sequence[str]) -> Leaderboard:
    """Rank a family by `metric`; intervals cost a look into the runs' tables, and are made for those names alone."""
    rows = [row_of(group, with_intervals) for group in family.groups]
    sign = 1 if lower_is_better(metric) else -1
    rows.sort(key=lambda row: (metric not in row.mean, sign * row.mean.get(metric, 0.0), row.group.label))
    floor = f"floor/{metric.partition('/')[2]}"
    reachable = [run.metrics[floor] for run in family.runs if floor in run.metrics]
    return Leaderboard(family.title, metric, rows, float(np.mean(reachable)) if reachable else None)


def row_of(group: Group, with_intervals: Iterable[str]) -> Row:
    """Summarise the members of a group."""
    members = group.members
    shared = [name for name in members[0].metrics if all(name in member.metrics for member in members)]
    values = {name: [member.metrics[name] for member in members] for name in shared if not name.startswith("floor/")}
    cost = {name: [run.provenance[name] for run in members if run.provenance.get(name) is not None] for name in COSTS}
    return Row(
        group,
        mean={name: float(np.mean(of_name)) for name, of_name in values.items()},
        std={name: float(np.std(of_name, ddof=1)) for name, of_name in values.items()} if len(members) > 1 else {},
        interval=intervals(members, [name for name in with_intervals if name in values]),
        cost={name: float(np.mean(of_name)) for name, of_name in cost.items() if of_name},
    )


def metric_names(metrics: Iterable[Iterable[str]]) -> list[str]:
    """All names, in the order in which they first come."""
    return list(dict.fromkeys(name for names in metrics for name in names))


def frame(boards: Iterable[Leaderboard]) -> pl.DataFrame:
    """Every number in full precision, one row a group; `<metric>:mean`, `:std`, `:low` and `:high`."""
    records = [record(board, row) for board in boards for row in board.rows]
    return pl.DataFrame(records, infer_schema_length=None)


def record(board: Leaderboard, row: Row) -> dict[str, object]:
    runs = row.group.members
    about: dict[str, object] = {
        "dataset": runs[0].dataset,
        "split": runs[0].split_name,
        "family": runs[0].split["family"],
        "model": row.group.model,
        "settings": " ".join(row.group.differences),
        "runs": row.n_runs,
        "seeds": " ".join(str(seed) for seed in dict.fromkeys(run.provenance["seed"] for run in runs)),
        "folds": " ".join(one for one in dict.fromkeys(run.split_replicate.replace(" ", ",") for run in runs) if one),
        **{name: row.cost.get(name) for name in COSTS},
    }
    for name in metric_names(other.mean for other in board.rows):
        low, high = row.interval.get(name, (None, None))
        about |= {f"{name}:mean": row.mean.get(name), f"{name}:std": row.std.get(name)}
        about |= {f"{name}:low": low, f"{name}:high": high}
    return about
