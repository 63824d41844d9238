"""What accuracy costs: against coverage and against time, with the groups that nobody beats in both."""

from collections.abc import Callable

import plotly.graph_objects as go

from anirec.metrics.names import MetricName, has_direction
from anirec.report import numbers as cells
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.looks import Look
from anirec.report.page.plots import Panel, Plot, figure, frame, listed, plain, spoken
from anirec.report.pareto import front, loss

COSTS = ("fit_seconds", "wall_seconds")
TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 36_000, 360_000)
BETWEEN = frozenset({0.003, 0.03, 0.3, 3, 30, 180, 1800})
SPOKEN_COSTS = {"fit_seconds": "training time", "wall_seconds": "time of the whole run"}


def tradeoffs(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Up to two plots; one needs at least two groups that have both figures."""
    if not has_direction(board.metric):
        return []
    plots = []
    if coverage := coverage_name(board):
        rows = [row for row in board.rows if board.metric in row.mean and coverage in row.mean]
        if len(rows) > 1:
            found = front(rows, lambda row: [loss(row, board.metric), -row.mean[coverage]])
            drawing = against(board, rows, found, looks, lambda row: row.mean[coverage])
            drawing.update_xaxes(title_text=plain(cells.heading(coverage)), tickformat=".0%")
            plots.append(plot(board, rows, found, drawing, looks, what=spoken(coverage)))
    cost = next((name for name in COSTS if all(row.cost.get(name, 0) > 0 for row in board.rows)), None)
    rows = [row for row in board.rows if board.metric in row.mean]
    if cost and len(rows) > 1:
        found = front(rows, lambda row: [loss(row, board.metric), row.cost[cost]])
        drawing = against(board, rows, found, looks, lambda row: row.cost[cost])
        ticks = time_ticks(min(row.cost[cost] for row in rows), max(row.cost[cost] for row in rows))
        drawing.update_xaxes(
            type="log", title_text=SPOKEN_COSTS[cost], tickvals=list(ticks), ticktext=[*ticks.values()]
        )
        plots.append(plot(board, rows, found, drawing, looks, what=SPOKEN_COSTS[cost]))
    return plots


def time_ticks(low: float, high: float) -> dict[float, str]:
    """Seconds that have round names.

    >>> time_ticks(0.4, 9), time_ticks(2, 4000)
    ({0.3: '0.3 s', 1: '1 s', 3: '3 s', 10: '10 s'}, {1: '1 s', 10: '10 s', 60: '1 min', 600: '10 min', 3600: '1 h'})
    """
    wide = high > 100 * low
    seconds = [tick for tick in TICKS if low / 3 <= tick <= high * 3 and not (wide and tick in BETWEEN)]
    return {tick: f"{tick:g} s" if tick < 1 else cells.duration(tick).replace(".0 ", " ") for tick in seconds}


def coverage_name(board: Leaderboard) -> str | None:
    """Of the same split, and of lists as long as the metric's if there are."""
    wanted = MetricName.parse(board.metric)
    parsed = {name: MetricName.parse(name) for name in board.others}
    names = [name for name, one in parsed.items() if one.metric == "coverage"]
    return next((name for name in names if parsed[name].k == wanted.k), names[0] if names else None)


def against(
    board: Leaderboard, rows: list[Row], found: list[Row], looks: dict[str, Look], x: Callable[[Row], float]
) -> go.Figure:
    """Every group a point with its interval; the front joined, each model on it named once."""
    name = board.metric
    line = go.Scatter(x=[x(row) for row in found], y=[row.mean[name] for row in found], mode="lines", hoverinfo="skip")
    line.update(line={"width": 1.2, "dash": "dot"}, opacity=0.7)
    traces, named = [line], {row.group.model: row for row in reversed(found)}
    for row in rows:
        look, mean = looks[row.group.label], row.mean[name]
        low, high = row.interval.get(name, (mean, mean))
        point = go.Scatter(x=[x(row)], y=[mean], mode="markers+text", legendgroup=row.group.model)
        point.update(
            marker={"color": look.colour, "symbol": look.symbol, "size": 11},
            error_y={"array": [high - mean], "arrayminus": [mean - low], "color": look.faint(0.55), "width": 0},
            text=plain(row.group.model) if named.get(row.group.model) is row else "",
            textposition="top center",
            name=plain(row.group.label),
            hovertemplate="%{fullData.name}<br>%{x:.3g}, %{y:.4f}<extra></extra>",
        )
        traces.append(point)
    return figure(traces, x={}, y={"title": {"text": plain(cells.heading(name))}, "range": frame(board)})


def plot(
    board: Leaderboard, rows: list[Row], found: list[Row], drawing: go.Figure, looks: dict[str, Look], *, what: str
) -> Plot:
    names = [row.group.label for row in found]
    if len(found) == 1:
        title = f"Accuracy against {what}: {names[0]} is best in both"
    else:
        title = f"Accuracy against {what}: nobody beats {listed(names)} in both"
    note = "Dotted: the front, groups that no other beats in one without losing in the other. Bars: 95 % intervals."
    low, high = frame(board)
    if behind := [row.group.label for row in rows if not low <= row.mean[board.metric] <= high]:
        note += f" Far behind, outside the frame: {listed(behind)}."
    legend: dict[str, Look] = {}
    for row in rows:
        legend.setdefault(row.group.model, looks[row.group.label])
    return Plot(what.replace(" ", "-"), title, [Panel(drawing)], note, legend)
