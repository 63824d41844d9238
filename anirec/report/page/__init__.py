"""`anirec compare --html`: writes one self-contained HTML page with tables and plots."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from anirec.atomic import write_text
from anirec.metrics.names import metric_phrase
from anirec.printable import clean
from anirec.report.formatting import counted, join_names
from anirec.report.groups import Family, is_numbered
from anirec.report.leaderboard import Leaderboard, intervals_of_group
from anirec.report.page.about import Fact, GroupDetails, all_details, provenance_facts
from anirec.report.page.curves import learning_curve_plots
from anirec.report.page.effects import hyper_parameter_plots
from anirec.report.page.plots import SYMBOLS, THEMES, Look, Plot, looks
from anirec.report.page.segments import segment_plots
from anirec.report.page.tables import PairTests, Table, pair_tests, summarise, table
from anirec.report.page.tradeoffs import Front, pareto_front, tradeoff_plots
from anirec.report.page.truth import predicted_vs_true_plots
from anirec.report.page.windows import backtest_plots
from anirec.report.runs import Run
from anirec.report.side_by_side import SideBySide, lists_note, side_by_side
from anirec.report.windows import Backtest, backtest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """Everything shown for one family; parts with nothing to show are empty or None."""

    title: str
    summary: list[str]
    table: Table
    front: Front | None
    plots: list[Plot]
    pair_tests: PairTests | None
    backtest: Backtest | None
    lists: SideBySide | None
    lists_note: str
    details: list[GroupDetails]
    facts: list[Fact]
    looks: dict[str, Look]
    legend: dict[str, str]


def write_page(path: Path, *, families: list[Family], boards: list[Leaderboard], rest: list[Run]) -> None:
    """Write one HTML file with tables, plots, tests and provenance of all runs.

    Args:
        path: The file; overwritten if it exists.
        families: Families of runs.
        boards: Their leaderboards, in the same order, with intervals of their metric.
        rest: Runs that are in no table.
    """
    sections = [section(family, board) for family, board in zip(families, boards, strict=True)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        finalize=lambda value: clean(value) if type(value) is str else value,  # not of Markup, which is ours
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    n_runs = sum(len(family.runs) for family in families)
    metrics = list(dict.fromkeys(metric_phrase(board.metric) for board in boards))
    html = environment.get_template("page.html").render(
        sections=sections,
        title=f"{counted(n_runs, 'run')} by {join_names(metrics)}",
        left_out=[*((run.state, run, run.error.strip().partition("\n")[0]) for run in rest), *not_counted(families)],
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        themes=json.dumps(THEMES),
        symbols=SYMBOLS,
    )
    write_text(path, html)


def not_counted(families: list[Family]) -> Iterator[tuple[str, Run, str]]:
    """Yield the finished runs that are in no table, with the reason."""
    for group in (group for family in families for group in family.groups):
        yield from (("repeated", run, "another run has equal settings and seed") for run in group.repeats)
        yield from (("equal", run, "another seed has equal predictions") for run in group.equal)


def section(family: Family, board: Leaderboard) -> Section:
    """Build the section of one family."""
    board = with_counterpart(board)
    look_of = looks(board)
    found = pair_tests(family, board)
    of_windows, lists = backtest(board), side_by_side(board)
    return Section(
        board.title,
        summarise(board, found),
        table(board),
        pareto_front(board, look_of),
        [
            *backtest_plots(of_windows, look_of),
            *learning_curve_plots(board, look_of),
            *hyper_parameter_plots(board),
            *tradeoff_plots(board, look_of),
            *predicted_vs_true_plots(board, look_of),
            *segment_plots(board, look_of),
        ],
        found,
        of_windows,
        lists,
        lists_note(lists) if lists else "",
        all_details(board),
        provenance_facts(family),
        look_of,
        {row.group.label: " ".join(row.group.differences) for row in board.rows if is_numbered(row.group)},
    )


def with_counterpart(board: Leaderboard) -> Leaderboard:
    """Return the leaderboard with intervals of its counterpart, too."""
    if board.counterpart is None:
        return board
    rows = [
        replace(row, interval=row.interval | intervals_of_group(row.group, [board.counterpart])) for row in board.rows
    ]
    return replace(board, rows=rows)


__all__ = ["write_page"]
