"""The Pareto front of runs with several objectives: a table of all objectives, and a plot of the first two."""

from dataclasses import dataclass, replace

from anirec.report import numbers as cells
from anirec.report.leaderboard import Leaderboard
from anirec.report.page.looks import Look
from anirec.report.page.plots import Panel, Plot, listed, plain, spoken
from anirec.report.page.tradeoffs import against
from anirec.report.pareto import front, loss, searched


@dataclass(frozen=True)
class Front:
    """Headings; for each group of the front its label and its figures as text; a plot of the first two objectives."""

    title: str
    headings: list[str]
    rows: list[tuple[str, list[str]]]
    plot: Plot


def pareto_front(board: Leaderboard, looks: dict[str, Look]) -> Front | None:
    """Compare groups by the objectives of their runs; None where these are not several."""
    names, found = searched(board)
    if not names:
        return None
    places = [cells.decimals(row.mean[name] for row in found) for name in names]
    rows = [
        (
            row.group.label,
            [cells.spread(row.mean[n], row.std.get(n), p) for n, p in zip(names, places, strict=True)],
        )
        for row in found
    ]
    headings = [cells.heading(name) for name in names]
    measured = [row for row in board.rows if all(name in row.mean for name in names)]
    first, second = names[:2]
    of_two = front(measured, lambda row: [loss(row, first), loss(row, second)])
    drawing = against(replace(board, metric=first), measured, of_two, looks, lambda row: row.mean[second])
    drawing.update_xaxes(title_text=plain(cells.heading(second)))
    legend = {row.group.model: looks[row.group.label] for row in reversed(measured)}
    note = "Dotted: the front of these two objectives."
    plot = Plot("pareto", f"{spoken(first)} against {spoken(second)}", [Panel(drawing)], note, legend)
    title = f"Pareto front: {len(found)} of {len(measured)} groups, by {listed([spoken(name) for name in names])}"
    return Front(title, headings, rows, plot)
