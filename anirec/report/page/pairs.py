"""Who beats whom: a matrix of paired tests, and all of them in a table."""

from dataclasses import dataclass

from anirec.report import numbers as cells
from anirec.report.groups import Family
from anirec.report.leaderboard import Leaderboard
from anirec.report.page.plots import listed
from anirec.report.paired.table import cautions, drawn, verdict
from anirec.report.paired.tests import pairwise, unpaired
from anirec.report.tables import places_of

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
