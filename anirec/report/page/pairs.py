"""Who beats whom: a matrix of paired tests, and all of them in a table."""

from dataclasses import dataclass

from anirec.report import cells
from anirec.report.groups import Family
from anirec.report.leaderboard import Leaderboard
from anirec.report.page.plots import listed
from anirec.report.tables import places_of

ALPHA = 0.05
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
        note: How the tests were made, or why there are none.
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
    from anirec.report.pairwise import pairwise, unpaired

    if len(board.rows) < 2:
        return None
    if reason := unpaired(family, board.metric):
        return Duels([], [], [], [], "", reason)
    pairs = pairwise(family, board.metric)
    if not pairs:
        return None
    places = places_of(board, board.metric)
    tested = {group.label for pair in pairs for group in (pair.first, pair.second)}
    labels = [row.group.label for row in board.rows if row.group.label in tested]
    cell_of: dict[tuple[str, str], Duel] = {}
    for pair in pairs:
        first, second, is_open = pair.first.label, pair.second.label, pair.p_holm >= ALPHA
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
        f"{' and '.join(sorted({pair.test for pair in pairs}))} over {one.n_units:,} {one.unit}, two-sided; p-values "
        f"corrected after Holm for {len(pairs)} tests. Effect: {one.effect_name}. For and against: {one.unit} that the "
        "better one serves better and worse."
    )
    matrix = [[cell_of.get((row, column)) for column in labels] for row in labels]
    return Duels(labels, matrix, HEADINGS, rows, verdict(board, cell_of), note)


def verdict(board: Leaderboard, cell_of: dict[tuple[str, str], Duel]) -> str:
    """About the best group alone."""
    best = board.rows[0].group.label
    against = {other: duel for (one, other), duel in cell_of.items() if one == best}
    alike = [other for other, duel in against.items() if duel.outcome == "open"]
    if not against:
        return ""
    if not alike:
        others = "the other one" if len(against) == 1 else f"each of {len(against)} others"
        return f"{best} beats {others}, at 5 % after Holm's correction."
    return f"{best} cannot be told apart from {listed(alike)}, at 5 % after Holm's correction."


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
