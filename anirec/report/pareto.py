"""Pareto fronts: what no other beats in one figure without losing in another."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from anirec.metrics.names import lower_is_better, objectives
from anirec.report.leaderboard import Leaderboard, Row

T = TypeVar("T")


def front(items: Sequence[T], losses: Callable[[T], Sequence[float]]) -> list[T]:
    """Return the items that no other beats, the lowest first loss first; of equal ones the first.

    Args:
        items: Anything.
        losses: Its figures, each better lower.

    >>> front([(1, 5), (2, 3), (2, 4), (4, 1), (4, 1)], lambda item: item)
    [(1, 5), (2, 3), (4, 1)]
    """
    found: list[T] = []
    for item in sorted(items, key=lambda item: tuple(losses(item))):  # whatever beats an item comes before it
        of_item = losses(item)
        if not any(all(a <= b for a, b in zip(losses(other), of_item, strict=True)) for other in found):
            found.append(item)
    return found


def loss(row: Row, metric: str) -> float:
    """The mean of a metric, turned so that lower is better."""
    return row.mean[metric] if lower_is_better(metric) else -row.mean[metric]


def searched(board: Leaderboard) -> tuple[list[str], list[Row]]:
    """Return the objectives that the runs of a table share and the rows of their Pareto front.

    Both are empty where there are not several objectives, or not several rows that measured them.
    """
    found = {tuple(objectives(run.config.get("objective"))) for row in board.rows for run in row.group.members}
    names = list(found.pop()) if len(found) == 1 else []
    rows = [row for row in board.rows if all(name in row.mean for name in names)]
    if len(names) < 2 or len(rows) < 2:
        return [], []
    return names, front(rows, lambda row: [loss(row, name) for name in names])
