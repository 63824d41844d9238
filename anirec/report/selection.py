"""Selection of the best configuration by a validation metric, averaged over seeds and splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, logged_name, lower_is_better, objectives
from anirec.report import formatting as cells
from anirec.report.groups import Group, families
from anirec.report.leaderboard import Row, leaderboard, metric_names
from anirec.report.runs import Run

SHOWN = 5


@dataclass(frozen=True)
class Selection:
    """The selected configuration and the candidates.

    Attributes:
        metric: A validation metric.
        rows: Candidate configurations, best first.
        fewer: Configurations with fewer seeds or splits than the candidates, best first; not selectable.
        n_configurations: Number of configurations tried, including those in `fewer` and pruned ones.
        n_runs: Number of runs, including those of `fewer` and pruned ones.
        n_pruned: Number of runs that a search ended early.
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


def select_configuration(runs: Sequence[Run], metric: str | None = None) -> Selection:
    """Select the best configuration of one family of runs.

    Args:
        runs: Runs of a sweep, in any state.
        metric: A validation metric; None for the objective that the runs share.

    Raises:
        UserError: If no run has finished, the runs cannot be ranked together, or no validation metric can rank them.
    """
    finished, pruned = ([run for run in runs if run.state == state] for state in ("finished", "pruned"))
    if not finished:
        raise UserError(f"None of {len(runs)} runs has finished: nothing to choose from.")
    found = families(finished)
    if len(found) > 1:
        titles = [f"  {family.title}: {len(family.runs)} runs" for family in found]
        raise UserError(
            "\n".join(
                [
                    "Cannot choose among runs on different data or splits, or with different settings of metrics:",
                    *titles,
                ]
            )
        )
    metric = logged_name(metric, "val") if metric else shared_objective(finished)
    check_metric(metric, finished)
    ranked = [row for row in leaderboard(found[0], metric, []).rows if metric in row.mean]
    fullest = max((row.group for row in ranked), key=lambda group: group.n_replicates)
    tried = {run.experiment for run in (*finished, *pruned)}
    return Selection(
        metric,
        [row for row in ranked if is_complete(row.group, fullest)],
        [row for row in ranked if not is_complete(row.group, fullest)],
        n_configurations=len(tried),
        n_runs=len(finished) + len(pruned),
        n_pruned=len(pruned),
    )


def is_complete(group: Group, fullest: Group) -> bool:
    """Whether a configuration has as many runs as the one with the most.

    Seeds do not count for a model without randomness, which has one run for all of them.
    """
    return group.n_replicates >= len(replicates(fullest, replicate_names(group)))


def replicate_names(group: Group) -> set[str]:
    """Return the keys of the seeds and folds in which runs of a configuration may differ."""
    return {name for run in (*group.members, *group.equal) for name, _ in run.replicate}


def replicates(group: Group, names: set[str]) -> set[tuple[tuple[str, Any], ...]]:
    """Return the different values of these seeds and folds."""
    runs = (*group.members, *group.equal)
    return {tuple((name, value) for name, value in run.replicate if name in names) for run in runs}


def shared_objective(runs: Sequence[Run]) -> str:
    """Return the single objective that all runs share."""
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
    """Raise a UserError unless it is a validation metric with a better direction that a run has."""
    if MetricName.parse(metric).split == "test":
        raise UserError(f"--metric {metric}: choosing by a test metric would bias the test result; use a val/ metric.")
    names = [name for name in metric_names(run.metrics for run in runs) if name.startswith("val/")]
    usable = [name for name in names if has_direction(name) and not MetricName.parse(name).segment]
    if metric not in names or not has_direction(metric):
        raise UserError(
            f"--metric {metric}: not a validation metric to choose by; available: {', '.join(usable) or 'none'}."
        )


def show_ranking(console: Console, selection: Selection) -> None:
    """Print the best configurations, and those that were excluded."""
    direction = "↓" if lower_is_better(selection.metric) else "↑"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")
    for heading in (f"{selection.metric} {direction}", "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    places = cells.decimals(row.mean[selection.metric] for row in selection.rows)
    for row in selection.rows[:SHOWN]:
        value = cells.spread(row.mean[selection.metric], row.std.get(selection.metric), places)
        table.add_row(Text(row.group.description), value, str(row.group.n_replicates))
    console.print(table)
    if len(selection.rows) > SHOWN:
        console.print(f"and {len(selection.rows) - SHOWN} more", style="dim")
    equal = [row for row in selection.rows if row.mean[selection.metric] == selection.rows[0].mean[selection.metric]]
    if len(equal) > 1:
        console.print(
            f"{len(equal)} configurations are tied for the best; the first by name was chosen.", style="yellow"
        )
    if selection.fewer:
        most = max(row.group.n_replicates for row in selection.rows)
        console.print(f"Excluded, because they have fewer than {most} runs:", style="yellow")
    for row in selection.fewer:
        value = cells.number(row.mean[selection.metric], places)
        console.print(Text(f"  {row.group.description}: {value}, {row.group.n_replicates} runs"), soft_wrap=True)
    shared = set.intersection(*(replicate_names(row.group) for row in selection.rows))
    if len({frozenset(replicates(row.group, shared)) for row in selection.rows}) > 1:
        console.print("Not all rows average the same seeds and splits, which may favour some of them.", style="yellow")
