"""Backtests: a metric in each window of time of a split, such as the seasons of `air_date`, for each model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from anirec.metrics.names import has_direction, lower_is_better, metric_phrase
from anirec.report import formatting as cells
from anirec.report.intervals import Interval, intervals
from anirec.report.leaderboard import Leaderboard
from anirec.report.runs import Run

GAP = 2


@dataclass(frozen=True)
class Outcome:
    """A metric in one window: mean over the runs, and its 95% interval."""

    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Backtest:
    """A metric of each model in each window.

    Attributes:
        metric: Name of the metric.
        windows: The windows, earliest first.
        models: Names of the configurations, best mean first.
        outcomes: For each model, its outcome in the windows in which it ran.
    """

    metric: str
    windows: list[str]
    models: list[str]
    outcomes: list[dict[str, Outcome]]

    @property
    def places(self) -> int:
        return cells.decimals(one.mean for of_model in self.outcomes for one in of_model.values())

    def best(self, window: str) -> float | None:
        """Return the best mean in a window; None with fewer than two models or without a better direction."""
        means = [of_model[window].mean for of_model in self.outcomes if window in of_model]
        if len(means) < 2 or not has_direction(self.metric):
            return None
        return min(means) if lower_is_better(self.metric) else max(means)

    def is_best(self, place: int, window: str) -> bool:
        found = self.outcomes[place].get(window)
        return found is not None and found.mean == self.best(window)

    def lines(self) -> list[tuple[str, list[str]]]:
        """Return a heading and a cell for each model: the windows, then mean ± std, and in how many it is best.

        The mean is over the windows that all models have. A model is best in some of the windows in which there is
        another one.
        """
        found = [(window, [self.cell(of_model.get(window)) for of_model in self.outcomes]) for window in self.windows]
        common = [window for window in self.windows if all(window in of_model for of_model in self.outcomes)]
        if len(common) > 1:
            means = [[of_model[window].mean for window in common] for of_model in self.outcomes]
            spreads = [
                cells.spread(float(np.mean(one)), float(np.std(one, ddof=1)) if len(one) > 1 else None, self.places)
                for one in means
            ]
            found.append(("mean" if common == self.windows else f"mean of {len(common)} common", spreads))
        compared = [window for window in self.windows if self.best(window) is not None]
        if compared:
            found.append(("best in", [self.times_best(place, compared) for place in range(len(self.models))]))
        return found

    def times_best(self, place: int, compared: list[str]) -> str:
        """Return in how many windows with another model a model is best, such as `2 of 3`."""
        own = [window for window in compared if window in self.outcomes[place]]
        return f"{sum(self.is_best(place, window) for window in own)} of {len(own)}" if own else cells.MISSING

    def cell(self, outcome: Outcome | None) -> str:
        if outcome is None:
            return cells.MISSING
        mean = cells.number(outcome.mean, self.places)
        return mean if outcome.interval is None else f"{mean} {cells.interval(outcome.interval, self.places)}"


def window_of(run: Run) -> str:
    """Return the test window of a run of a backtest; empty for a run of another split."""
    return str(run.split.get("window") or "")


def backtest(board: Leaderboard) -> Backtest | None:
    """Return the metric of a leaderboard by window; None if its runs have fewer than two windows."""
    rows = [row for row in board.rows if board.metric in row.mean]
    by_window: list[dict[str, list[Run]]] = []
    for row in rows:
        found: dict[str, list[Run]] = {}
        for run in row.group.having(board.metric):
            found.setdefault(window_of(run), []).append(run)
        by_window.append(found)
    windows = sorted({window for found in by_window for window in found if window})
    if len(windows) < 2:
        return None
    outcomes = [
        {window: outcome(found[window], board.metric) for window in windows if window in found} for found in by_window
    ]
    return Backtest(board.metric, windows, [row.group.label for row in rows], outcomes)


def outcome(runs: list[Run], metric: str) -> Outcome:
    mean = float(np.mean([run.metrics[metric] for run in runs]))
    return Outcome(mean, intervals(runs, [metric]).get(metric))


def backtest_tables(found: Backtest, width: int) -> Iterator[Table]:
    """Yield tables that are at most `width` characters wide, each with some of the models."""
    lines = found.lines()
    first = max(len("window"), *(len(heading) for heading, _ in lines))
    widest = max(len(cell) for _, texts in lines for cell in texts)
    per_table = max(1, (width - first) // (widest + GAP))
    for start in range(0, len(found.models), per_table):
        places = range(len(found.models))[start : start + per_table]
        table = Table(box=box.SIMPLE_HEAD)
        table.show_edge = table.pad_edge = False
        table.padding = (0, GAP - 1, 0, 0)
        table.add_column("window", no_wrap=True)
        for place in places:
            table.add_column(Text(found.models[place]), justify="right", max_width=widest, overflow="fold")
        for n, (heading, texts) in enumerate(lines):
            is_window = n < len(found.windows)
            styles = ["bold" if is_window and found.is_best(place, heading) else "" for place in places]
            row = [Text(texts[place], style=style) for place, style in zip(places, styles, strict=True)]
            table.add_row(heading, *row, end_section=n == len(found.windows) - 1)
        yield table


def backtest_title(found: Backtest) -> str:
    return f"Backtest: {metric_phrase(found.metric)} in {len(found.windows)} windows, with 95% intervals"
