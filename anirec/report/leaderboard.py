"""Leaderboards: one row of mean metrics per group of a family, for terminal, Markdown and CSV."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from anirec.metrics.definition import REACHABLE
from anirec.metrics.names import MetricName, extreme, has_direction, lower_is_better, metric_phrase, reachable
from anirec.report import formatting as cells
from anirec.report.evaluated_size import EvaluatedSize, size_of
from anirec.report.groups import Family, Group, share_no_split, unlike_splits
from anirec.report.intervals import Interval, intervals
from anirec.report.runs import Run

# Metrics that are shown first, after the sorting metric.
FIRST = ("rmse", "ndcg", "mae", "hit_rate", "r2", "coverage", "recall", "diversity", "novelty")
FIRST_OF_SCORES = ("rmse", "pearson", "spearman", "r2", "mae", "unit_mse", "interval_coverage", "interval_width")
COSTS = ("wall_seconds", "fit_seconds", "peak_memory_mb")


@dataclass(frozen=True)
class Row:
    """One group: mean and standard deviation of every metric over the runs that computed it.

    Attributes:
        cost: Mean time and memory of its runs, without the first runs of processes if there are others.
        n_runs: Number of runs that computed the sorting metric.
        is_warm: Whether `cost` is that of runs that are not the first of their process.
    """

    group: Group
    mean: dict[str, float]
    std: dict[str, float]
    interval: dict[str, Interval]
    cost: dict[str, float]
    n_runs: int
    is_warm: bool


@dataclass(frozen=True)
class Leaderboard:
    """Rows of one family, best first by `metric`; rows without the metric last."""

    title: str
    metric: str
    rows: list[Row]
    floor: float | None
    size: EvaluatedSize

    @property
    def is_ranked(self) -> bool:
        """Whether the rows can be ranked: there is a split that all of them have."""
        return not share_no_split(row.group for row in self.rows if self.metric in row.mean)

    @property
    def others(self) -> list[str]:
        """Other metrics of the same split, most informative first; without segments."""
        split = MetricName.parse(self.metric).split
        names = [name for name in metric_names(row.mean for row in self.rows) if name != self.metric]
        parsed = {name: MetricName.parse(name) for name in names}
        shown = [
            name
            for name in names
            if parsed[name].split == split and not parsed[name].segment and parsed[name].is_metric
        ]
        metrics = {parsed[name].metric for name in names}
        first = FIRST_OF_SCORES if "pearson" in metrics else FIRST
        return sorted(shown, key=lambda name: first.index(m) if (m := parsed[name].metric) in first else len(first))

    @property
    def counterpart(self) -> str | None:
        """Metric of the other kind: NDCG for a table sorted by an error, RMSE for one sorted by the quality of lists.

        None where there is none, or the sorting metric has no better direction.
        """
        sorted_by = MetricName.parse(self.metric).declared
        if sorted_by is None or not has_direction(self.metric):
            return None
        wanted = "rmse" if sorted_by.kind in ("ranking", "lists", "users") else "ndcg"
        return next((name for name in self.others if MetricName.parse(name).metric == wanted), None)

    def best(self, name: str) -> float | None:
        """Return the best mean of a metric.

        None with fewer than two values, without a better direction, with too few test rows, or if the means are over
        different splits.
        """
        rows = [row for row in self.rows if name in row.mean]
        if self.size.is_small or len(rows) < 2 or not has_direction(name) or unlike_splits(row.group for row in rows):
            return None
        values = [row.mean[name] for row in rows]
        return min(values) if lower_is_better(name) else max(values)


def leaderboard(family: Family, metric: str, with_intervals: Sequence[str]) -> Leaderboard:
    """Rank a family by `metric`; intervals read the runs' tables and are computed for the given names only."""
    rows = [row_of(group, metric, with_intervals) for group in family.groups]
    sign = 1 if lower_is_better(metric) else -1
    rows.sort(key=lambda row: (metric not in row.mean, sign * row.mean.get(metric, 0.0), row.group.label))
    of_runs = [reachable(run.metrics, run.split_name) for run in family.runs]
    name = metric.partition("/")[2]
    best = [one[name] for one in of_runs if name in one]
    floor = float(np.mean(best)) if best else None
    return Leaderboard(family.title, metric, rows, floor, size_of([row.group for row in rows], metric))


def by_name(board: Leaderboard) -> Leaderboard:
    """Return the leaderboard with its rows by name, for rows that cannot be ranked."""
    rows = sorted(board.rows, key=lambda row: (board.metric not in row.mean, row.group.label))
    return replace(board, rows=rows)


def cost_of(run: Run, name: str) -> float | None:
    """Return a cost of a run, None if it is unknown; the time of the whole run is without that of compiling kernels.

    The results of another framework have no time: the run only evaluated them.
    """
    was_trained_elsewhere = "fit_seconds" in run.provenance and run.provenance["fit_seconds"] is None
    value = None if was_trained_elsewhere else run.provenance.get(name)
    if value is None or name != "wall_seconds":
        return value
    return max(0.0, value - (run.provenance.get("compile_seconds") or 0.0))


def row_of(group: Group, metric: str, with_intervals: Iterable[str]) -> Row:
    """Summarise the members of a group."""
    names = [
        name
        for name in metric_names(run.metrics for run in group.members)
        if MetricName.parse(name).split not in REACHABLE
    ]
    values = {name: [run.metrics[name] for run in group.having(name)] for name in names}
    warm = [run for run in group.members if not run.is_first]
    timed = warm or group.members
    cost = {name: [value for run in timed if (value := cost_of(run, name)) is not None] for name in COSTS}
    return Row(
        group,
        mean={name: float(np.mean(of_name)) for name, of_name in values.items()},
        std={name: float(np.std(of_name, ddof=1)) for name, of_name in values.items() if len(of_name) > 1},
        interval=intervals_of_group(group, with_intervals),
        cost={name: float(np.mean(of_name)) for name, of_name in cost.items() if of_name},
        n_runs=len(values.get(metric, group.members)),
        is_warm=bool(warm),
    )


def intervals_of_group(group: Group, names: Iterable[str]) -> dict[str, Interval]:
    """Return the intervals of metrics, each over the runs that computed it."""
    together: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name in names:
        if places := tuple(place for place, run in enumerate(group.members) if name in run.metrics):
            together[places].append(name)
    found: dict[str, Interval] = {}
    for places, of_places in together.items():
        found |= intervals([group.members[place] for place in places], of_places)
    return found


def metric_names(metrics: Iterable[Iterable[str]]) -> list[str]:
    """Return all names, in order of first appearance."""
    return list(dict.fromkeys(name for names in metrics for name in names))


def results_frame(boards: Iterable[Leaderboard]) -> pl.DataFrame:
    """Return every value in full precision, one row per group: `<metric>:mean`, `:std`, `:low` and `:high`."""
    records = [result_record(board, row) for board in boards for row in board.rows]
    return pl.DataFrame(records, infer_schema_length=None)


def result_record(board: Leaderboard, row: Row) -> dict[str, object]:
    runs = row.group.members
    about: dict[str, object] = {
        "dataset": runs[0].dataset,
        "split": runs[0].split_name,
        "family": runs[0].split["family"],
        "model": row.group.model,
        "settings": " ".join(row.group.differences),
        "runs": row.n_runs,
        "seeds": " ".join(str(seed) for seed in dict.fromkeys(run.provenance["seed"] for run in runs)),
        "folds": " ".join(one for one in dict.fromkeys(run.split_replicate.replace(" ", ",") for run in runs) if one),
        **{name: row.cost.get(name) for name in COSTS},
    }
    for name in metric_names(other.mean for other in board.rows):
        low, high = row.interval.get(name, (None, None))
        about |= {f"{name}:mean": row.mean.get(name), f"{name}:std": row.std.get(name)}
        about |= {f"{name}:low": low, f"{name}:high": high}
    return about


FLOOR = "best reachable"
COLD = "*"  # marks a time
GAP = 2
MARKDOWN_METRICS = 6


@dataclass(frozen=True)
class TableColumn:
    """A heading, one cell per row, which of them are best, and the cell of the best reachable value."""

    heading: str
    cells: list[str]
    best: list[bool]
    floor: str = ""

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.heading, self.floor, *self.cells))


def table_columns(board: Leaderboard, others: Sequence[str]) -> list[TableColumn]:
    """Return model, the sorting metric with its interval, the other metrics, and the costs of the runs."""
    return [
        model_column(board),
        metric_column(board, board.metric, sorted_by=True),
        interval_column(board),
        *(metric_column(board, name) for name in others),
        *cost_columns(board),
    ]


def model_column(board: Leaderboard) -> TableColumn:
    return plain_column(board, "model", lambda row: row.group.label, floor=FLOOR)


def cost_columns(board: Leaderboard) -> list[TableColumn]:
    """Return number of runs, time and memory."""
    return [
        plain_column(board, "runs", lambda row: str(row.n_runs)),
        plain_column(board, "time", time_of),
        plain_column(board, "memory", lambda row: cells.memory(row.cost.get("peak_memory_mb"))),
    ]


def time_of(row: Row) -> str:
    """Return the time of the whole run, marked if it includes loading libraries."""
    text = cells.duration(row.cost.get("wall_seconds"))
    return text if row.is_warm or text == cells.MISSING else f"{text}{COLD}"


def plain_column(board: Leaderboard, heading: str, cell: Callable[[Row], str], floor: str = "") -> TableColumn:
    return TableColumn(heading, [cell(row) for row in board.rows], [False] * len(board.rows), floor)


def metric_column(board: Leaderboard, name: str, *, sorted_by: bool = False) -> TableColumn:
    """Return a column of means; for the sorting metric also deviations and the best reachable value."""
    places = places_of(board, name)
    best = board.best(name)
    return TableColumn(
        cells.heading(name),
        [cells.spread(row.mean.get(name), row.std.get(name) if sorted_by else None, places) for row in board.rows],
        [best is not None and row.mean.get(name) == best for row in board.rows],
        cells.number(board.floor, places) if sorted_by and board.floor is not None else "",
    )


def interval_column(board: Leaderboard) -> TableColumn:
    places = places_of(board, board.metric)
    return plain_column(board, "95% interval", lambda row: cells.interval(row.interval.get(board.metric), places))


def places_of(board: Leaderboard, name: str) -> int:
    return cells.decimals(row.mean[name] for row in board.rows if name in row.mean)


def terminal_table(board: Leaderboard, width: int) -> Table:
    """Return a table at most `width` characters wide; model names are broken over lines only if nothing else fits."""
    chosen = fitting_columns(board, width)
    table = Table(box=box.SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    table.padding = (0, GAP - 1, 0, 0)  # the box adds one
    room = width - sum(GAP + column.width for column in chosen[1:])
    table.add_column(chosen[0].heading, max_width=max(1, room), overflow="fold")
    for column in chosen[1:]:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in range(len(board.rows)):
        marked = (Text(column.cells[row], style="bold" if column.best[row] else "") for column in chosen)
        table.add_row(*marked, end_section=row == len(board.rows) - 1)
    if board.floor is not None:
        table.add_row(*(column.floor for column in chosen), style="dim")
    return table


def title_of(board: Leaderboard) -> str:
    """Return the data and split, and what the table is sorted by."""
    n_runs = {row.n_runs for row in board.rows}
    each = f" of {n_runs.pop()} runs each" if len(n_runs) == 1 and n_runs != {1} and len(board.rows) > 1 else ""
    if len(board.rows) < 2:
        return board.title
    order = f"{extreme(board.metric)} {metric_phrase(board.metric)} first" if board.is_ranked else "not ranked"
    return f"{board.title}: {len(board.rows)} configurations{each}, {order}"


def fitting_columns(board: Leaderboard, width: int) -> list[TableColumn]:
    """Return the columns that fit, chosen by importance; a column that is equal in all rows is left out.

    Equal are, for example, the numbers of runs of configurations that ran once each.
    """
    model, sorted_by, interval = (
        model_column(board),
        metric_column(board, board.metric, sorted_by=True),
        interval_column(board),
    )
    runs, time, memory = cost_columns(board)
    others = [metric_column(board, name) for name in board.others]
    wanted = filter(differs, [interval, runs, *others[:1], time, *others[1:], memory])
    room = width - sum(GAP + column.width for column in (model, sorted_by)) + GAP
    kept: list[TableColumn] = []
    for column in wanted:
        if GAP + column.width <= room:
            kept.append(column)
            room -= GAP + column.width
    in_order = [interval, *others, runs, time, memory]
    return [model, sorted_by, *(column for column in in_order if column in kept)]


def differs(column: TableColumn) -> bool:
    """Return whether a column says anything: its cells differ, or there is a single row with a value."""
    return len(set(column.cells)) > 1 or (len(column.cells) == 1 and column.cells != [cells.MISSING])


def markdown_table(board: Leaderboard) -> str:
    """Return a GitHub table under its title, with all settings that differ in the names of the configurations."""
    names = plain_column(board, "model", lambda row: row.group.description, floor=FLOOR)
    sorted_by, *others = table_columns(board, board.others[:MARKDOWN_METRICS])[1:]
    chosen = [names, sorted_by, *filter(differs, others)]
    lines = [[column.heading for column in chosen], ["---", *["---:"] * (len(chosen) - 1)]]
    for row in range(len(board.rows)):
        lines.append([f"**{column.cells[row]}**" if column.best[row] else column.cells[row] for column in chosen])
    if board.floor is not None:
        lines.append([column.floor for column in chosen])
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join([f"### {board.title}", "", *(f"| {line} |" for line in escaped), ""])
