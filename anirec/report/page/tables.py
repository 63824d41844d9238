"""The leaderboard as the page shows it: the cells of the terminal's table, keys to sort by, and intervals drawn."""

from dataclasses import dataclass
from math import isfinite

from anirec.metrics.names import has_direction
from anirec.report import formatting as cells
from anirec.report.groups import Family, unlike_splits
from anirec.report.leaderboard import Leaderboard, Row, columns, places_of
from anirec.report.page.plots import frame, listed, spoken
from anirec.report.paired.table import cautions, drawn, verdict
from anirec.report.paired.tests import pairwise, unpaired

MINUS = "−"  # noqa: RUF001


@dataclass(frozen=True)
class Duel:
    """One cell: the row's group against the column's. `outcome` is better, worse or open."""

    outcome: str
    difference: str
    p: str


@dataclass(frozen=True)
class Duels:
    """Tests of a family.

    Attributes:
        labels: Of the groups tested, best first.
        matrix: A cell for each two of them; None on the diagonal and where there was no test.
        headings, rows: All tests in full.
        verdict: Who cannot be told apart from the best.
        note: How the tests were made and of whom there are none, or why there are none at all.
    """

    labels: list[str]
    matrix: list[list[Duel | None]]
    headings: list[str]
    rows: list[list[str]]
    verdict: str
    note: str


HEADINGS = ["better", "than", "difference", "95% interval", "p", "p (Holm)", "effect", "for", "against"]


def duels(family: Family, board: Leaderboard) -> Duels | None:
    """None where there is one group; where groups cannot be tested, the note alone, which says why."""
    if len(board.rows) < 2:
        return None
    pairs = pairwise(family, board.metric)
    if not pairs:
        return Duels([], [], [], [], "", f"No tests, as {unpaired(family, board.metric)}.")
    places = places_of(board, board.metric)
    tested = {group.label for pair in pairs for group in (pair.first, pair.second)}
    labels = [row.group.label for row in board.rows if row.group.label in tested]
    cell_of: dict[tuple[str, str], Duel] = {}
    for pair in pairs:
        first, second, is_open = pair.first.label, pair.second.label, not pair.differs
        p = probability(pair.p_holm)
        cell_of[first, second] = Duel("open" if is_open else "better", signed(pair.difference, places), p)
        cell_of[second, first] = Duel("open" if is_open else "worse", signed(-pair.difference, places), p)
    rows = [
        [
            pair.first.label,
            pair.second.label,
            signed(pair.difference, places),
            " to ".join(signed(end, places) for end in pair.interval),
            probability(pair.p),
            probability(pair.p_holm),
            f"{pair.effect:+.2f}",
            f"{pair.n_better:,}",
            f"{pair.n_worse:,}",
        ]
        for pair in pairs
    ]
    one = pairs[0]
    note = (
        f"{' and '.join(sorted({pair.test for pair in pairs}))} over {drawn(pairs)}, two-sided; p-values "
        f"corrected after Holm for {len(pairs)} tests. Effect: {one.effect_name}. For and against: {one.unit} that the "
        "better one serves better and worse."
    )
    matrix = [[cell_of.get((row, column)) for column in labels] for row in labels]
    notes = [note, *cautions(family, pairs, listed)]
    return Duels(labels, matrix, HEADINGS, rows, verdict(family, pairs, listed), " ".join(notes))


def signed(value: float, places: int) -> str:
    """With a true minus sign.

    >>> signed(-0.07124, 4) == f"{MINUS}0.0712", signed(0.5, 2)
    (True, '+0.50')
    """
    return (MINUS if value < 0 else "+") + cells.number(abs(value), places)


def probability(p: float) -> str:
    """
    >>> probability(0.0002), probability(0.0213), probability(1.0)
    ('< .001', '.021', '1.000')
    """
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


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
