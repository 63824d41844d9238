"""Tables of the page: the leaderboard with sort keys and drawn intervals, paired tests, and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from anirec.metrics.names import has_direction, lower_is_better, metric_phrase
from anirec.report import formatting as cells
from anirec.report.groups import Family, unlike_splits
from anirec.report.leaderboard import Leaderboard, Row, differs, metric_column, places_of, table_columns
from anirec.report.page.plots import metric_range
from anirec.report.paired.table import cautions, sample_size, verdict
from anirec.report.paired.tests import pairwise, why_no_pairs

MINUS = "−"  # noqa: RUF001


@dataclass(frozen=True)
class PairTestCell:
    """One cell: the row's group against the column's. `outcome` is better, worse or open."""

    outcome: str
    difference: str
    p: str


@dataclass(frozen=True)
class PairTests:
    """Paired tests of a family.

    Attributes:
        labels: Labels of the tested groups, best first.
        matrix: A cell for each pair; None on the diagonal and where there was no test.
        headings, rows: All tests in full.
        verdict: What the tests say about the best group.
        note: How the tests were made and which groups were not tested, or why there are no tests.
    """

    labels: list[str]
    matrix: list[list[PairTestCell | None]]
    headings: list[str]
    rows: list[list[str]]
    verdict: str
    note: str


MOST_METRICS = 4  # besides the sorting metric: fit a page
OTHERS = ("narrow", "medium", "wide", "widest")  # least width of the page at which each is shown
ALWAYS = 3  # model, sorting metric, interval
HEADINGS = [
    *("first", "second", "difference", "95% interval", "p", "p (Holm)", "effect", "first better", "second better"),
]


def pair_tests(family: Family, board: Leaderboard) -> PairTests | None:
    """Return the tests of a family; None for one group, and only a note if groups cannot be tested."""
    if len(board.rows) < 2:
        return None
    pairs = pairwise(family, board.metric)
    if not pairs:
        return PairTests([], [], [], [], "", f"No tests: {why_no_pairs(family, board.metric)}.")
    places = places_of(board, board.metric)
    tested = {group.label for pair in pairs for group in (pair.first, pair.second)}
    labels = [row.group.label for row in board.rows if row.group.label in tested]
    cell_of: dict[tuple[str, str], PairTestCell] = {}
    for pair in pairs:
        first, second, is_open = pair.first.label, pair.second.label, not pair.differs
        p = cells.probability(pair.p_holm)
        cell_of[first, second] = PairTestCell("open" if is_open else "better", signed(pair.difference, places), p)
        cell_of[second, first] = PairTestCell("open" if is_open else "worse", signed(-pair.difference, places), p)
    rows = [
        [
            pair.first.label,
            pair.second.label,
            signed(pair.difference, places),
            " to ".join(signed(end, places) for end in pair.interval),
            cells.probability(pair.p),
            cells.probability(pair.p_holm),
            f"{pair.effect:+.2f}",
            f"{pair.n_better:,}",
            f"{pair.n_worse:,}",
        ]
        for pair in pairs
    ]
    one = pairs[0]
    note = (
        f"{one.test.capitalize()} over {sample_size(pairs)}, two-sided; p (Holm): "
        f"corrected for {len(pairs)} tests; intervals are not corrected. First: the better mean. Effect: "
        f"{one.effect_name} of the gain per {one.unit.removesuffix('s')}. First better, second better: number of "
        f"{one.unit} with the better value for that one. Seeds and splits are not resampled."
    )
    matrix = [[cell_of.get((row, column)) for column in labels] for row in labels]
    notes = [note, *cautions(family, pairs)]
    return PairTests(labels, matrix, HEADINGS, rows, verdict(family, pairs), " ".join(notes))


def signed(value: float, places: int) -> str:
    """Format a difference with its sign, using the typographic minus.

    >>> signed(-0.07124, 4) == f"{MINUS}0.0712", signed(0.5, 2)
    (True, '+0.50')
    """
    return (MINUS if value < 0 else "+") + cells.number(abs(value), places)


@dataclass(frozen=True)
class Mark:
    """A mean and its interval in percent of the drawing's width; None where there is none.

    `is_outside` is low or high if the mean lies beyond that end of the drawing.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    is_outside: str = ""


@dataclass(frozen=True)
class TableCell:
    """Text of a cell, its sort key, and whether it is the best of its column."""

    text: str
    key: float | str | None
    best: bool


@dataclass(frozen=True)
class Table:
    """The leaderboard of a family.

    Attributes:
        headings: One per column.
        classes: Class of each column in style.css, which leaves out the less important ones on narrow screens.
        rows: One list of cells per group.
        marks: Drawn interval of each group.
        ends: Ends of the drawn range.
        floor: The best reachable value, if it is known.
        floor_mark: The same, drawn.
    """

    headings: list[str]
    classes: list[str]
    rows: list[list[TableCell]]
    marks: list[Mark]
    ends: tuple[str, str]
    floor: list[str]
    floor_mark: Mark


def table(board: Leaderboard) -> Table:
    """Return a table of the most informative metrics; columns that are equal in all rows are left out."""
    others = [name for name in board.others if differs(metric_column(board, name))][:MOST_METRICS]
    every = table_columns(board, others)
    ranks = ["", "", "wide", *OTHERS[: len(others)], "medium", "medium", "widest"]
    kept = [place for place, column in enumerate(every) if place < ALWAYS or differs(column)]
    shown, classes = [every[place] for place in kept], [ranks[place] for place in kept]
    keys = [[of_row[place] for place in kept] for of_row in (sort_keys(board, row, others) for row in board.rows)]
    rows = [
        [
            TableCell(column.cells[place], key, column.best[place])
            for column, key in zip(shown, keys[place], strict=True)
        ]
        for place in range(len(board.rows))
    ]
    low, high = metric_range(board)
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
        classes,
        rows,
        [mark(row.mean.get(board.metric), row.interval.get(board.metric, ())) for row in board.rows],
        (cells.number(low, places), cells.number(high, places)),
        [column.floor for column in shown] if board.floor is not None else [],
        mark(board.floor),
    )


def sort_keys(board: Leaderboard, row: Row, others: Sequence[str]) -> list[float | str | None]:
    """Return the sort keys of a row, in the order of `table_columns`."""
    low = row.interval.get(board.metric, (None, None))[0]
    means = [row.mean.get(name) for name in others]
    costs = [row.cost.get(name) for name in ("wall_seconds", "peak_memory_mb")]
    return [row.group.label, row.mean.get(board.metric), low, *means, row.n_runs, *costs]


def summarise(board: Leaderboard, found: PairTests | None) -> list[str]:
    """Return the main results in sentences."""
    measured = [row for row in board.rows if board.metric in row.mean]
    if not measured:
        return [f"No run of this table has {board.metric}."]
    best = measured[0]
    places = places_of(board, board.metric)
    value = cells.spread(best.mean[board.metric], best.std.get(board.metric), places)
    interval = best.interval.get(board.metric)
    sure = f", 95% interval {cells.interval(interval, places)}" if interval else ""
    phrase, figure = metric_phrase(board.metric), f"{value}{sure}"
    if len(measured) == 1:
        return [f"{best.group.label}: {phrase} {figure}."]
    if not has_direction(board.metric):
        return [f"Highest {phrase}: {best.group.label}, {figure}. Neither direction is better."]
    extreme = "lowest" if lower_is_better(board.metric) else "highest"
    equal = [row.group.label for row in measured if row.mean[board.metric] == best.mean[board.metric]]
    many = f"the {extreme} {phrase} of {len(measured)} configurations: {figure}."
    if board.best(board.metric) is None:
        sentences = []
    elif len(equal) > 1:
        sentences = [f"{cells.join_names(equal)} share {many}"]
    else:
        sentences = [f"{best.group.label} has {many}"]
    sentences += [found.verdict] if found and found.verdict else []
    return sentences + list(filter(None, [board.size.warning, unlike_splits(row.group for row in board.rows)]))
