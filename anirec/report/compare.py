"""`anirec compare`: many run folders, one table for each set of runs that may be compared."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, is_metric, lower_is_better
from anirec.report import numbers as cells
from anirec.report.groups import Family, families, unlike_splits
from anirec.report.leaderboard import Leaderboard, frame, leaderboard, metric_names
from anirec.report.paired.table import print_pairs, quick_verdict
from anirec.report.pareto import searched
from anirec.report.runs import Run, read_runs
from anirec.report.tables import markdown_table, terminal_table

DEFAULT = "test/rmse"


def compare(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    pairs: bool = False,
    html: str | Path | None = None,
    console: Console | None = None,
) -> None:
    """Print the runs in or below `paths`, best first; write all their figures where asked.

    Args:
        paths: Run folders, or folders of them.
        metric: What to sort by, as logged: test/rmse, test/ndcg@10. None for test/rmse, or else the first of the
            test set, or of validation where a sweep tested no run.
        csv: Gets every metric of every group in full precision, with deviations and intervals.
        markdown: Gets the tables.
        pairs: Whether to test every two groups of a table against each other, which may take a minute.
        html: Gets a page with tables and plots.
        console: Where to print.

    Raises:
        UserError: If a path or metric does not exist, or no run has finished.
    """
    console = console or Console()
    runs = read_runs(paths)
    finished = [run for run in runs if run.state == "finished"]
    rest = [run for run in runs if run.state != "finished"]
    if not finished:
        print_rest(console, rest)
        raise UserError(f"None of {len(runs)} runs has finished: nothing to compare.")
    name = chosen_metric(metric, finished)
    found = families(finished)
    with_intervals = metric_names(run.metrics for run in finished) if csv else [name]
    boards = [leaderboard(family, name, with_intervals) for family in found]
    direction = "lower is better" if lower_is_better(name) else "higher is better"
    note = direction if has_direction(name) else "neither direction is better"
    console.print(Text(f"{len(finished)} runs, sorted by {name} ({note})"))
    print_boards(console, boards, ["" if pairs else quick_verdict(family, name) for family in found])
    for family in found if pairs else []:
        print_pairs(console, family, name)
    print_repeats(console, found)
    print_rest(console, rest)
    if csv:
        frame(boards).write_csv(created(csv))
    if markdown:
        created(markdown).write_text("\n".join(map(markdown_table, boards)), encoding="utf-8")
    if html:
        from anirec.report.page import write_page

        write_page(created(html), families=found, boards=boards, rest=rest, metric=name)


def chosen_metric(metric: str | None, runs: list[Run]) -> str:
    """The metric to sort by; some run has it."""
    names = [name for name in metric_names(run.metrics for run in runs) if is_metric(name)]
    if metric in names:
        return metric
    if metric is None and names:
        ranked = [DEFAULT, *(name for split in ("test/", "val/") for name in names if name.startswith(split)), *names]
        return next(name for name in ranked if name in names)
    near = difflib.get_close_matches(metric or "", names, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    parsed = [MetricName.parse(name) for name in names]
    splits = " or ".join(dict.fromkeys(f"{one.split}/" for one in parsed))
    shorts = ", ".join(dict.fromkeys(one.short for one in parsed))
    wrong = "" if metric is None or is_metric(metric) else f" {metric} is a count or a fact of the data."
    raise UserError(f"No run has the metric {metric}.{wrong}{hint} Names are {splits} with one of {shorts}.")


def print_boards(console: Console, boards: list[Leaderboard], verdicts: list[str]) -> None:
    """Each with what its pairs say, if that is known."""
    for board, verdict in zip(boards, verdicts, strict=True):
        console.print()
        console.print(terminal_table(board, console.width))
        if verdict:
            console.print(Text(f"\n{verdict}"))
        names, found = searched(board)
        if names:
            console.print(Text(f"\nPareto front of {', '.join(names)}:"))
        for row in found:
            values = ", ".join(cells.number(row.mean[name], cells.decimals([row.mean[name]])) for name in names)
            console.print(Text(f"  {row.group.label}: {values}"), soft_wrap=True)
    rows = [row for board in boards for row in board.rows]
    notes = ["Bold: best. Interval: bootstrap over users, else clusters of titles, else rows."]
    if any(row.std for row in rows):
        notes.append("Several runs: mean ± standard deviation over seeds and splits.")
    console.print(Text("\n".join(["", *notes]), style="dim"))
    for board in boards:
        if told := unlike_splits(row.group for row in board.rows):
            console.print(Text(f"{board.title}: {told}", style="yellow"))
    if len(boards) > 1:
        warning = f"{len(boards)} tables: figures on different data or splits cannot be ranked together."
        console.print(Text(warning, style="yellow"))


def print_repeats(console: Console, found: list[Family]) -> None:
    """Runs made twice count once."""
    older = [run for family in found for group in family.groups for run in group.repeats]
    if older:
        console.print("\nNot counted, because the same run was made again later:", style="yellow")
    for run in older:
        console.print(Text(f"  {shown(run.folder)}"), soft_wrap=True)


def print_rest(console: Console, rest: list[Run]) -> None:
    """What is not in the table, and why."""
    if rest:
        console.print("\nNot in the table:", style="yellow")
    for run in rest:
        reason = run.error.strip().splitlines()[0]
        console.print(Text(f"  {run.state:10} {shown(run.folder)}\n             {reason}"), soft_wrap=True)


def shown(folder: Path) -> str:
    """As short as it can be copied: from the current folder if it lies there."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def created(path: str | Path) -> Path:
    """The path, in a folder that exists."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
