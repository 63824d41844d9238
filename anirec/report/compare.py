"""`anirec compare`: reads run folders and prints one leaderboard per set of comparable runs."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, is_metric, logged_name, lower_is_better
from anirec.report import formatting as cells
from anirec.report.groups import Family, families, unlike_splits
from anirec.report.leaderboard import (
    Leaderboard,
    leaderboard,
    markdown_table,
    metric_names,
    results_frame,
    terminal_table,
)
from anirec.report.paired.table import print_pairs, quick_verdict
from anirec.report.pareto import objectives_and_front
from anirec.report.runs import Run, read_runs

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
    """Print the runs in or below `paths`, best first, and write the requested files.

    Args:
        paths: Run folders, or folders that contain them.
        metric: Metric to sort by, as logged: test/rmse, test/ndcg@10. None for test/rmse if available, else the first
            test metric, else the first validation metric.
        csv: Path for a table of every metric in full precision, with standard deviations and intervals.
        markdown: Path for the leaderboards as Markdown.
        pairs: Whether to test all pairs of configurations of a table, which may take a minute.
        html: Path for a page with tables and plots.
        console: Console to print to.

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
    name = choose_metric(metric, finished)
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
        results_frame(boards).write_csv(ensure_folder(csv))
    if markdown:
        ensure_folder(markdown).write_text("\n".join(map(markdown_table, boards)), encoding="utf-8")
    if html:
        from anirec.report.page import write_page

        write_page(ensure_folder(html), families=found, boards=boards, rest=rest, metric=name)


def choose_metric(metric: str | None, runs: list[Run]) -> str:
    """Return the metric to sort by; at least one run has it."""
    names = [name for name in metric_names(run.metrics for run in runs) if is_metric(name)]
    metric = logged_name(metric, "test", "val", among=names) if metric else None
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
    wrong = (
        "" if metric is None or is_metric(metric) else f" {metric} is a count or a property of the data, not a metric."
    )
    raise UserError(f"No run has the metric {metric}.{wrong}{hint} Use {splits} followed by one of: {shorts}.")


def print_boards(console: Console, boards: list[Leaderboard], verdicts: list[str]) -> None:
    """Print each leaderboard, with its verdict if there is one."""
    for board, verdict in zip(boards, verdicts, strict=True):
        console.print()
        console.print(terminal_table(board, console.width))
        if verdict:
            console.print(Text(f"\n{verdict}"))
        names, found = objectives_and_front(board)
        if names:
            console.print(Text(f"\nPareto front of {', '.join(names)}:"))
        for row in found:
            values = ", ".join(cells.number(row.mean[name], cells.decimals([row.mean[name]])) for name in names)
            console.print(Text(f"  {row.group.label}: {values}"), soft_wrap=True)
    rows = [row for board in boards for row in board.rows]
    notes = ["Bold: best. Interval: bootstrap over users; without users, over clusters of titles, titles or rows."]
    if any(row.std for row in rows):
        notes.append("±: standard deviation over seeds and splits.")
    console.print(Text("\n".join(["", *notes]), style="dim"))
    for board in boards:
        if caution := unlike_splits(row.group for row in board.rows):
            console.print(Text(f"{board.title}: {caution}", style="yellow"))
    if len(boards) > 1:
        warning = f"{len(boards)} tables: results on different data or splits cannot be ranked together."
        console.print(Text(warning, style="yellow"))


def print_repeats(console: Console, found: list[Family]) -> None:
    """List older runs that were repeated; only the newest counts."""
    older = [run for family in found for group in family.groups for run in group.repeats]
    if older:
        console.print("\nNot counted, because the same run was repeated later:", style="yellow")
    for run in older:
        console.print(Text(f"  {relative_path(run.folder)}"), soft_wrap=True)


def print_rest(console: Console, rest: list[Run]) -> None:
    """List the runs that are not in a table, with the reason."""
    if rest:
        console.print("\nNot in the table:", style="yellow")
    for run in rest:
        reason = run.error.strip().splitlines()[0]
        console.print(Text(f"  {run.state:10} {relative_path(run.folder)}\n             {reason}"), soft_wrap=True)


def relative_path(folder: Path) -> str:
    """Return the folder relative to the current one if it is inside, for copying."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def ensure_folder(path: str | Path) -> Path:
    """Create the folder of a path, and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
