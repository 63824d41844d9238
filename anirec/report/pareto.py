"""Pareto fronts: the rows that no other row dominates in several metrics."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from anirec.metrics.names import lower_is_better, objectives
from anirec.report.leaderboard import Leaderboard, Row

T = TypeVar("T")


def front(items: Sequence[T], losses: Callable[[T], Sequence[float]]) -> list[T]:
    """Return the items that no other item dominates, sorted by the first loss; of equal items only the first.

    Args:
        items: Any items.
        losses: Returns the values of an item to compare; lower is better.

    >>> front([(1, 5), (2, 3), (2, 4), (4, 1), (4, 1)], lambda item: item)
    [(1, 5), (2, 3), (4, 1)]
    """
    found: list[T] = []
    for item in sorted(items, key=lambda item: tuple(losses(item))):  # an item that dominates another comes before it
        of_item = losses(item)
        if not any(all(a <= b for a, b in zip(losses(other), of_item, strict=True)) for other in found):
            found.append(item)
    return found


def loss(row: Row, metric: str) -> float:
    """Return the mean of a metric, negated where higher is better."""
    return row.mean[metric] if lower_is_better(metric) else -row.mean[metric]


def objectives_and_front(board: Leaderboard) -> tuple[list[str], list[Row]]:
    """Return the objectives shared by the runs of a leaderboard, and the rows on their Pareto front.

    Both are empty with fewer than two objectives, or fewer than two rows that have all of them.
    """
    found = {tuple(objectives(run.config.get("objective"))) for row in board.rows for run in row.group.members}
    names = list(found.pop()) if len(found) == 1 else []
    rows = [row for row in board.rows if all(name in row.mean for name in names)]
    if len(names) < 2 or len(rows) < 2:
        return [], []
    return names, front(rows, lambda row: [loss(row, name) for name in names])
