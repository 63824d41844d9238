"""`anirec compare --html`: one page with tables and plots, that needs no network."""

import json
from dataclasses import dataclass
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from anirec.atomic import write_text
from anirec.metrics.names import has_direction, lower_is_better
from anirec.report.groups import Family
from anirec.report.leaderboard import Leaderboard
from anirec.report.page.about import Account, Facts, accounts, facts
from anirec.report.page.curves import learning_curves
from anirec.report.page.effects import hyper_parameters
from anirec.report.page.plots import SYMBOLS, THEMES, Look, Plot, looks
from anirec.report.page.segments import segments
from anirec.report.page.tables import Duels, Table, duels, summary, table
from anirec.report.page.tradeoffs import Front, pareto_front, tradeoffs
from anirec.report.page.truth import predicted_vs_true
from anirec.report.runs import Run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """All that is shown of one family; what has nothing to show is empty or None."""

    title: str
    summary: list[str]
    table: Table
    front: Front | None
    plots: list[Plot]
    duels: Duels | None
    accounts: list[Account]
    facts: list[Facts]
    looks: dict[str, Look]


def write_page(path: Path, *, families: list[Family], boards: list[Leaderboard], rest: list[Run], metric: str) -> None:
    """Write one HTML file: tables, plots, tests and provenance of all runs.

    Args:
        path: The file; replaced if it is there, its folder made if it is not.
        families: What may be ranked together.
        boards: Their tables, in the same order, with intervals of `metric`.
        rest: Runs that are in no table.
        metric: What the tables are sorted by.
    """
    sections = [section(family, board) for family, board in zip(families, boards, strict=True)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    direction = "lower is better" if lower_is_better(metric) else "higher is better"
    html = environment.get_template("page.html").render(
        sections=sections,
        n_runs=sum(len(family.runs) for family in families),
        repeats=[run for family in families for group in family.groups for run in group.repeats],
        rest=rest,
        metric=metric,
        direction=direction if has_direction(metric) else "neither direction is better",
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        themes=json.dumps(THEMES),
        symbols=SYMBOLS,
    )
    write_text(path, html)


def section(family: Family, board: Leaderboard) -> Section:
    look_of = looks(board)
    found = duels(family, board)
    return Section(
        board.title,
        summary(board, found),
        table(board),
        pareto_front(board, look_of),
        [
            *learning_curves(board, look_of),
            *hyper_parameters(board),
            *predicted_vs_true(board, look_of),
            *tradeoffs(board, look_of),
            *segments(board, look_of),
        ],
        found,
        accounts(board),
        facts(family),
        look_of,
    )


__all__ = ["write_page"]
