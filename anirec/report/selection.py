"""Which configuration validates best: seeds and splits of one are averaged first, and no test figure is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, lower_is_better, objectives
from anirec.report import numbers as cells
from anirec.report.groups import Group, families
from anirec.report.leaderboard import Row, leaderboard, metric_names
from anirec.report.runs import Run

SHOWN = 5


@dataclass(frozen=True)
class Choice:
    """What was chosen, and of what.

    Attributes:
        metric: A validation metric.
        rows: Configurations that could be chosen, best first.
        fewer: Those with fewer seeds or splits than others, best first: their means are of something else.
        n_configurations: How many were tried, those of `fewer` and pruned ones included.
        n_runs: Likewise.
        n_pruned: How many of the runs a search ended early.
    """

    metric: str
    rows: list[Row]
    fewer: list[Row]
    n_configurations: int
    n_runs: int
    n_pruned: int

    @property
    def chosen(self) -> Group:
        return self.rows[0].group


def choice(runs: Sequence[Run], metric: str | None = None) -> Choice:
    """The best configuration of one family of runs.

    Args:
        runs: Of a sweep, whatever state they are in.
        metric: A validation metric; None for the objective that the runs share.

    Raises:
        UserError: No run has finished; they cannot be ranked together; or no validation metric can rank them.
    """
    finished, pruned = ([run for run in runs if run.state == state] for state in ("finished", "pruned"))
    if not finished:
        raise UserError(f"None of {len(runs)} runs has finished: nothing to choose from.")
    found = families(finished)
    if len(found) > 1:
        titles = [f"  {family.title}: {len(family.runs)} runs" for family in found]
        raise UserError("\n".join(["Runs on different data or splits cannot be chosen from together:", *titles]))
    metric = metric or shared_objective(finished)
    check_metric(metric, finished)
    ranked = [row for row in leaderboard(found[0], metric, []).rows if metric in row.mean]
    most = max(row.n_runs for row in ranked)
    tried = {run.experiment for run in (*finished, *pruned)}
    return Choice(
        metric,
        [row for row in ranked if row.n_runs == most],
        [row for row in ranked if row.n_runs < most],
        n_configurations=len(tried),
        n_runs=len(finished) + len(pruned),
        n_pruned=len(pruned),
    )


def shared_objective(runs: Sequence[Run]) -> str:
    found = list(dict.fromkeys(tuple(objectives(run.config.get("objective"))) for run in runs))
    if len(found) > 1:
        names = ", ".join("+".join(names) or "None" for names in found)
        raise UserError(f"The runs have different objectives ({names}): choose with --metric.")
    if not found[0]:
        raise UserError("The runs have no objective: choose with --metric val/…")
    if len(found[0]) > 1:
        names = ", ".join(found[0])
        raise UserError(f"The runs have several objectives ({names}): choose by one, such as --metric {found[0][0]}")
    return found[0][0]


def check_metric(metric: str, runs: Sequence[Run]) -> None:
    """Only validation may choose, and only by what has a best."""
    if MetricName.parse(metric).split == "test":
        raise UserError(f"--metric {metric}: choosing by the test set would spoil it; choose by a val/ metric.")
    names = [name for name in metric_names(run.metrics for run in runs) if name.startswith("val/")]
    usable = [name for name in names if has_direction(name) and not MetricName.parse(name).segment]
    if metric not in names or not has_direction(metric):
        raise UserError(f"--metric {metric}: no run can be chosen by it; there are {', '.join(usable) or 'none'}.")


def show_choice(console: Console, choice: Choice) -> None:
    """The best few, and what is not among them."""
    direction = "↓" if lower_is_better(choice.metric) else "↑"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")
    for heading in (f"{choice.metric} {direction}", "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    places = cells.decimals(row.mean[choice.metric] for row in choice.rows)
    for row in choice.rows[:SHOWN]:
        value = cells.spread(row.mean[choice.metric], row.std.get(choice.metric), places)
        table.add_row(Text(row.group.label), value, str(row.n_runs))
    console.print(table)
    if len(choice.rows) > SHOWN:
        console.print(f"and {len(choice.rows) - SHOWN} more", style="dim")
    equal = [row for row in choice.rows if row.mean[choice.metric] == choice.rows[0].mean[choice.metric]]
    if len(equal) > 1:
        console.print(f"{len(equal)} rows are equally good: the first of them by name was chosen.", style="yellow")
    if choice.fewer:
        most = choice.rows[0].n_runs
        console.print(f"Not chosen from, as they have fewer than {most} runs:", style="yellow")
    for row in choice.fewer:
        value = cells.number(row.mean[choice.metric], places)
        console.print(Text(f"  {row.group.label}: {value}, {row.n_runs} runs"), soft_wrap=True)
    if len({tuple(sorted(str(run.replicate) for run in row.group.members)) for row in choice.rows}) > 1:
        console.print(
            "Not all rows average the same seeds and splits: the choice owes something to luck.", style="yellow"
        )
