"""`anirec compare`: reads run folders and prints one leaderboard per set of comparable runs."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import MetricName, extreme, is_metric, logged_name, metric_phrase, objectives
from anirec.printable import Console
from anirec.report import formatting as cells
from anirec.report.filters import filter_runs
from anirec.report.groups import Family, families, is_numbered, unlike_splits
from anirec.report.leaderboard import (
    COLD,
    Leaderboard,
    Row,
    by_name,
    leaderboard,
    markdown_table,
    metric_names,
    results_frame,
    terminal_table,
    title_of,
)
from anirec.report.paired.table import HOW, print_legend, print_pairs, quick_verdict
from anirec.report.pareto import objectives_and_front
from anirec.report.runs import Run, read_runs
from anirec.report.side_by_side import LENGTH, ON_TERMINAL, lists_note, lists_tables, side_by_side
from anirec.report.windows import backtest, backtest_tables, backtest_title

DEFAULT = "test/rmse"
FEWEST_EQUAL = 4  # metrics: fewer may be equal by chance


def compare(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    where: Sequence[str] = (),
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    pairs: bool = False,
    lists: bool = False,
    html: str | Path | None = None,
    console: Console | None = None,
) -> None:
    """Print the runs in or below `paths`, best first, and write the requested files.

    Args:
        paths: Run folders, or folders that contain them.
        metric: Metric to sort by, such as test/rmse, ndcg@10 or val/mae; test unless it names a split. None for the
            metric that most configurations of a table have: their objective on the test set first.
        where: Conditions on the runs, such as model=svd or n_factors>=40; see `anirec.report.filters`.
        csv: Path for a table of every metric in full precision, with standard deviations and intervals.
        markdown: Path for the leaderboards as Markdown.
        pairs: Whether to test all pairs of configurations of a table, which may take a minute.
        lists: Whether to print what the models recommend to the same ten users, side by side.
        html: Path for a page with tables and plots.
        console: Console to print to.

    Raises:
        UserError: If a path, metric or key does not exist, or no run has finished.
    """
    console = console or Console()
    runs = filter_runs(read_runs(paths), where)
    finished = [run for run in runs if run.state == "finished"]
    rest = [run for run in runs if run.state != "finished"]
    if not finished:
        print_rest(console, rest)
        if where:
            return
        raise UserError(f"None of {len(runs)} runs has finished: nothing to compare.")
    available = [name for name in metric_names(run.metrics for run in finished) if is_metric(name)]
    name = find_metric(metric, available) if metric else None
    every = sorted(families(finished), key=lambda family: family.title)
    found = [one for one in every if name is None or any(group.having(name) for group in one.groups)]
    without = [one for one in every if one not in found]
    metrics = [name or default_metric(family) for family in found]
    boards = [leaderboard(family, one, available if csv else [one]) for family, one in zip(found, metrics, strict=True)]
    boards = [board if board.is_ranked else by_name(board) for board in boards]
    console.print(Text(run_counts(runs)))
    for family, board in zip(found, boards, strict=True):
        print_board(console, board, "" if pairs else quick_verdict(family, board.metric))
    for family, board in zip(found, boards, strict=True) if pairs else []:
        print_pairs(console, family, board.metric)
    for board in boards if lists else []:
        print_lists(console, board)
    print_notes(console, boards, found, without, name)
    if csv:
        results_frame(boards).write_csv(ensure_folder(csv))
    if markdown:
        ensure_folder(markdown).write_text("\n".join(map(markdown_table, boards)), encoding="utf-8")
    if html:
        from anirec.report.page import write_page

        write_page(ensure_folder(html), families=found, boards=boards, rest=rest)
    for path in filter(None, (csv, markdown, html)):
        console.print(Text(f"Written: {path}", style="dim"))


def find_metric(metric: str, names: Sequence[str]) -> str:
    """Return the full name of a metric that a user may have shortened.

    Args:
        metric: As typed: test/rmse, rmse, NDCG@10 or ndcg. Without a split it is that of the test set, if there is one.
        names: Metrics of the runs.

    Raises:
        UserError: No run has it.
    """
    wanted = logged_name(metric, "test", "val", among=names)
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    parsed = [MetricName.parse(name) for name in names]
    splits = " or ".join(dict.fromkeys(f"{one.split}/" for one in parsed))
    shorts = ", ".join(dict.fromkeys(one.short for one in parsed))
    wrong = "" if is_metric(wanted) else f" {wanted} is a count or a property of the data, not a metric."
    raise UserError(f"No run has the metric {wanted}.{wrong}{hint} Use {splits} followed by one of: {shorts}.")


def default_metric(family: Family) -> str:
    """Return the metric that most tested configurations have; of equals their shared objective, RMSE or NDCG first."""
    wanted = {next(iter(objectives(run.config.get("objective"))), "") for run in family.runs}
    measured = [set().union(*(run.metrics for run in group.members)) for group in family.groups]
    tested = [names for names in measured if any(name.startswith("test/") for name in names)] or measured
    names = [name for name in metric_names(run.metrics for run in family.runs) if is_metric(name)]
    ranked = [
        *(name.replace("val/", "test/", 1) for name in wanted if len(wanted) == 1),
        DEFAULT,
        *by_split(names),
    ]
    available = [name for name in ranked if name in names]
    return max(available, key=lambda name: sum(name in of_group for of_group in tested), default=DEFAULT)


def by_split(names: Sequence[str]) -> list[str]:
    """Return the names of metrics, those of the test set first, and of these NDCG."""
    return sorted(
        names, key=lambda name: (not name.startswith("test/"), not name.startswith("val/"), "/ndcg" not in name)
    )


def run_counts(runs: Sequence[Run]) -> str:
    """Return how many runs there are in each state, and how to list those that have not finished."""
    states = Counter(run.state for run in runs)
    if set(states) == {"finished"}:
        return cells.counted(len(runs), "run")
    rest = [state for state in sorted(states) if state != "finished"]
    counts = ", ".join(f"{states[state]:,} {state}" for state in ["finished", *rest] if states[state])
    listed = f" (list them: --where state={','.join(rest)})" if rest else ""
    return f"{cells.counted(len(runs), 'run')}: {counts}{listed}"


def print_board(console: Console, board: Leaderboard, verdict: str) -> None:
    """Print a leaderboard, the legend of its numbered names, and what can be concluded.

    Rows without the sorting metric, such as trials of a search that were not tested, are counted only.
    """
    measured = [row for row in board.rows if board.metric in row.mean]
    left = [row for row in board.rows if measured and board.metric not in row.mean]
    board = replace(board, rows=measured or board.rows)
    console.print(Text(f"\n{title_of(board)}", style="bold"))
    if board.size.text:
        console.print(Text(f"on {board.size.text}", style="dim"))
    console.print(terminal_table(board, console.width))
    print_legend(console, [row.group for row in board.rows if is_numbered(row.group)])
    if left:
        shared = [name for name in left[0].mean if is_metric(name) and all(name in row.mean for row in left)]
        other = board.metric.replace("test/", "val/")
        shown = [name for name in (other, *by_split(shared)) if name in shared]
        hint = f"; see --metric {shown[0].removeprefix('test/')}" if shown else ""
        without = f"{cells.counted(len(left), 'configuration')} without {metric_phrase(board.metric)}"
        console.print(Text(f"{without}, not shown{hint}."))
    if sentence := f"{best_of(board)} {verdict}".strip():
        console.print(Text(f"\n{sentence}"))
    if board.size.warning:
        console.print(Text(f"\n{board.size.warning}", style="yellow"))
    names, found = objectives_and_front(board)
    if names:
        console.print(Text(f"\nPareto front of {', '.join(names)}:"))
    for row in found:
        values = ", ".join(cells.number(row.mean[name], cells.decimals([row.mean[name]])) for name in names)
        console.print(Text(f"  {row.group.label}: {values}"))
    if of_windows := backtest(board):
        console.print(Text(f"\n{backtest_title(of_windows)}", style="bold"))
        for table in backtest_tables(of_windows, console.width):
            console.print(table)
    for names in equal_rows(board):
        console.print(Text(f"Equal predictions: {cells.join_names(names)}."))
    if caution := unlike_splits(row.group for row in board.rows):
        console.print(Text(caution, style="yellow"))


def print_lists(console: Console, board: Leaderboard) -> None:
    """Print the lists of the same users by the best configurations, as many as fit."""
    found = side_by_side(board)
    console.print(Text(f"\n{board.title}: lists side by side", style="bold"))
    if found is None:
        console.print(Text("No lists of the same users by two configurations.", style="yellow"))
        return
    for table in lists_tables(found, console.width):
        console.print()
        console.print(table)
    first = f"The first {ON_TERMINAL} of {LENGTH} titles, and relevant ones below with their rank."
    console.print(Text(f"\n{first} {lists_note(found)}", style="dim"))


def best_of(board: Leaderboard) -> str:
    """Return which configuration is best in which respect; empty without a better direction or with a single row."""
    best = board.best(board.metric)
    if best is None:
        return ""
    equal = [row.group.label for row in board.rows if row.mean.get(board.metric) == best]
    return f"{extreme(board.metric).capitalize()} {metric_phrase(board.metric)}: {cells.join_names(equal)}."


def equal_rows(board: Leaderboard) -> list[list[str]]:
    """Return the names of configurations with equal values of all metrics that they share, if these are several."""
    found: list[list[Row]] = []
    for row in board.rows:
        alike = next((rows for rows in found if has_equal_metrics(rows[0], row)), None)
        if alike:
            alike.append(row)
        else:
            found.append([row])
    return [[row.group.label for row in rows] for rows in found if len(rows) > 1]


def has_equal_metrics(one: Row, other: Row) -> bool:
    shared = [name for name in one.mean if name in other.mean and is_metric(name)]
    return len(shared) >= FEWEST_EQUAL and all(one.mean[name] == other.mean[name] for name in shared)


def print_notes(
    console: Console,
    boards: Sequence[Leaderboard],
    found: Sequence[Family],
    without: Sequence[Family],
    name: str | None,
) -> None:
    """Explain the tables once, below all of them, and count what is in none."""
    rows = [row for board in boards for row in board.rows]
    notes = []
    if len(rows) > len(boards):
        notes.append(f"Bold: best of the column. Significance: {HOW}.")
    if any(row.interval for row in rows):
        notes.append("Interval: bootstrap over users; without users, over clusters of titles, titles or rows.")
    if any(row.std for row in rows):
        notes.append("±: standard deviation over seeds and splits (folds, windows).")
    if not all(row.is_warm for row in rows):
        notes.append(f"{COLD}: the first run of its process, with loading.")
    console.print(Text(f"\n{' '.join(notes)}", style="dim"))
    cautions = []
    if len(boards) > 1:
        cautions.append(
            f"{len(boards)} tables: results on different data or splits, or of metrics with different settings, cannot "
            "be ranked together."
        )
    if without:
        titles = cells.join_names([family.title for family in without])
        cautions.append(f"Without {name}, so not shown: {titles}.")
    groups = [group for family in found for group in family.groups]
    if n := sum(len(group.repeats) for group in groups):
        cautions.append(f"Not counted: {cells.counted(n, 'older repetition')} of a run with equal settings and seed.")
    if alike := [group for group in groups if group.equal]:
        n = sum(len(group.equal) for group in alike)
        models = cells.join_names(list(dict.fromkeys(group.label for group in alike)))
        cautions.append(f"Not counted: {cells.counted(n, 'run')} with the predictions of another seed ({models}).")
    if cautions:
        console.print(Text("\n".join(cautions), style="yellow"))


def print_rest(console: Console, rest: Sequence[Run]) -> None:
    """List runs that have not finished, with the reason."""
    for run in rest:
        reason = run.error.strip().splitlines()[0]
        console.print(Text(f"{run.state:10} {relative_path(run.folder)}\n           {reason}"), soft_wrap=True)


def relative_path(folder: Path) -> str:
    """Return the folder relative to the current one if it is inside, for copying."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def ensure_folder(path: str | Path) -> Path:
    """Create the folder of a path, and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
