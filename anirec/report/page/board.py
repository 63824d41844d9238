"""The leaderboard as the page shows it: the cells of the terminal's table, keys to sort by, and intervals drawn."""

from dataclasses import dataclass
from math import isfinite

from anirec.metrics.names import has_direction
from anirec.report import numbers as cells
from anirec.report.groups import unlike_splits
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.pairs import Duels
from anirec.report.page.plots import frame, listed, spoken
from anirec.report.tables import columns, places_of


@dataclass(frozen=True)
class Mark:
    """A mean and its interval, in percent of the drawing's width; None where there is none.

    `is_outside` is low or high where the mean lies beyond the drawing's end.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    is_outside: str = ""


@dataclass(frozen=True)
class Cell:
    text: str
    key: float | str | None
    best: bool


@dataclass(frozen=True)
class Table:
    """Headings; one list of cells and one mark a group; the ends of the drawn range as text; the best reachable."""

    headings: list[str]
    rows: list[list[Cell]]
    marks: list[Mark]
    ends: tuple[str, str]
    floor: list[str]
    floor_mark: Mark


def table(board: Leaderboard) -> Table:
    """Every metric of the board's split."""
    shown = columns(board, board.others)
    keys = [sort_keys(board, row) for row in board.rows]
    rows = [
        [Cell(column.cells[place], key, column.best[place]) for column, key in zip(shown, keys[place], strict=True)]
        for place in range(len(board.rows))
    ]
    low, high = frame(board)
    low, high = (low, high) if board.floor is None else (min(low, board.floor), max(high, board.floor))
    places = places_of(board, board.metric)

    def mark(mean: float | None, ends: tuple[float, ...] = ()) -> Mark:
        if mean is None or not isfinite(mean) or not isfinite(high - low):
            return Mark(None)
        if not low <= mean <= high:
            return Mark(None, is_outside="low" if mean < low else "high")
        ends = ends if all(map(isfinite, ends)) else ()
        at = [round(100 * ((min(max(value, low), high) - low) / (high - low)), 2) for value in (mean, *ends)]
        return Mark(at[0], at[1], at[2]) if ends else Mark(at[0])

    return Table(
        [column.heading for column in shown],
        rows,
        [mark(row.mean.get(board.metric), row.interval.get(board.metric, ())) for row in board.rows],
        (cells.number(low, places), cells.number(high, places)),
        [column.floor for column in shown] if board.floor is not None else [],
        mark(board.floor),
    )


def sort_keys(board: Leaderboard, row: Row) -> list[float | str | None]:
    """In the order of `columns`."""
    low = row.interval.get(board.metric, (None, None))[0]
    means = [row.mean.get(name) for name in board.others]
    costs = [row.cost.get(name) for name in ("wall_seconds", "peak_memory_mb")]
    return [row.group.label, row.mean.get(board.metric), low, *means, row.n_runs, *costs]


def summary(board: Leaderboard, found: Duels | None) -> list[str]:
    """What a reader who reads nothing else should know."""
    measured = [row for row in board.rows if board.metric in row.mean]
    if not measured:
        return [f"No run of this table has {board.metric}."]
    best = measured[0]
    places = places_of(board, board.metric)
    value = cells.spread(best.mean[board.metric], best.std.get(board.metric), places)
    interval = best.interval.get(board.metric)
    sure = f", 95 % interval {cells.interval(interval, places)}" if interval else ""
    figure = f"{spoken(board.metric)} {value}{sure}"
    if len(measured) == 1:
        return [f"{best.group.label}: {figure}."]
    if not has_direction(board.metric):
        return [f"{best.group.label} has the highest {figure}; neither direction is better."]
    equal = [row.group.label for row in measured if row.mean[board.metric] == best.mean[board.metric]]
    if len(equal) > 1:
        told = [f"{listed(equal)} are equally good, and the best of {len(measured)}: {figure}."]
    else:
        told = [f"{best.group.label} is best of {len(measured)}: {figure}."]
    told += [found.verdict] if found and found.verdict else []
    return told + list(filter(None, [unlike_splits(row.group for row in board.rows).capitalize()]))
