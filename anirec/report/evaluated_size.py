"""Number of test rows and users behind the metrics of a leaderboard."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from anirec.metrics.names import MetricName, is_ranking
from anirec.metrics.resampling import FEWEST_ROWS
from anirec.report.formatting import counted
from anirec.report.groups import Group
from anirec.report.runs import Run


@dataclass(frozen=True)
class EvaluatedSize:
    """Evaluated rows of a metric's split, and users.

    Attributes:
        split: "test" or "val".
        n_rows: Number of rows, those of each split of a backtest or cross-validation once; None if unknown.
        n_users: Number of users with a ranked list or, for metrics of rows, with a row; None if unknown.
        is_small: Whether there are fewer than `FEWEST_ROWS` rows or, for metrics of lists, users.
    """

    split: str
    n_rows: int | None
    n_users: int | None
    is_small: bool

    @property
    def text(self) -> str:
        """Both numbers, such as `18 users, 18 test rows`; empty if none is known."""
        users = "" if self.n_users is None else counted(self.n_users, "user")
        rows = "" if self.n_rows is None else counted(self.n_rows, f"{self.split} row")
        return ", ".join(filter(None, (users, rows)))

    @property
    def warning(self) -> str:
        """Sentence on a small size; empty for any other."""
        return f"Only {self.text}: too few for intervals, tests or conclusions." if self.is_small else ""


def size_of(groups: Sequence[Group], metric: str) -> EvaluatedSize:
    """Return the size for a metric, that of the first group that has it."""
    split = MetricName.parse(metric).split
    members = next((having for group in groups if (having := group.having(metric))), [])
    by_split = {run.split_replicate: run for run in members}.values()
    rows = [n for run in by_split if isinstance(n := run.split.get(f"n_{split}"), int)]
    n_rows = sum(rows) if rows and len(rows) == len(by_split) else None
    n_users = count_users(list(by_split), "recommendations" if is_ranking(metric) else "predictions", split)
    decisive = n_users if is_ranking(metric) else n_rows
    return EvaluatedSize(split, n_rows, n_users, decisive is not None and decisive < FEWEST_ROWS)


def count_users(runs: Sequence[Run], table: str, split: str) -> int | None:
    """Return the number of users in a table of the runs; None if a run lacks it or its users have no ids."""
    tables = []
    for run in runs:
        try:
            rows = pl.scan_parquet(run.folder / f"{table}.parquet", glob=False).filter(pl.col("split") == split)
            tables.append(rows.select(pl.col("user_id").drop_nulls().cast(pl.String).unique()).collect())
        except (OSError, pl.exceptions.PolarsError):
            return None
    return pl.concat(tables)["user_id"].n_unique() or None if tables else None
