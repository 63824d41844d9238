"""Trade-offs: the metric against coverage, long tail and training time; the Pareto front of objectives."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import plotly.graph_objects as go

from anirec.metrics.names import MetricName, has_direction, metric_phrase
from anirec.report import formatting as cells
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.plots import Look, Panel, Plot, escape_html, figure, metric_range, with_headroom
from anirec.report.pareto import front, loss, objectives_and_front

COSTS = ("fit_seconds", "wall_seconds")
TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 36_000, 360_000)
BETWEEN = frozenset({0.003, 0.03, 0.3, 3, 30, 180, 1800})
SHARES = {"coverage": "", "aplt": "share of the long tail in a list"}  # and their phrases, if not those of metrics
LONG_TAIL = "Long tail: all titles but the most popular ones that together have 80% of the training ratings (aplt)."
SPOKEN_COSTS = {"fit_seconds": "training time", "wall_seconds": "duration of the whole run"}


def tradeoff_plots(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Return up to four plots; each needs at least two groups that have both values."""
    if not has_direction(board.metric):
        return []
    plots = []
    if (other := board.counterpart) and len(rows := having(board, other)) > 1:
        found = front(rows, lambda row: [loss(row, board.metric), loss(row, other)])
        drawing = draw_scatter(board, rows, found, looks, lambda row: row.mean[other], across=other, named=rows)
        drawing.update_xaxes(title_text=escape_html(cells.heading(other)))
        limits = with_headroom(rows, board.metric)  # of all: models with the best lists may have large errors
        drawing.update_yaxes(range=limits)
        plots.append(tradeoff_plot(board, rows, found, drawing, looks, what=metric_phrase(other), limits=limits))
    for metric in SHARES:
        name = name_of(board, metric)
        if name and len(rows := having(board, name)) > 1:
            plots.append(share_plot(board, rows, name, looks))
    timed = [row for row in board.rows if any(row.cost.get(name, 0) > 0 for name in COSTS)]
    cost = next((name for name in COSTS if all(row.cost.get(name, 0) > 0 for row in timed)), None)
    rows = [row for row in timed if board.metric in row.mean]
    if cost and len(rows) > 1:
        found = front(rows, lambda row: [loss(row, board.metric), row.cost[cost]])
        drawing = draw_scatter(board, rows, found, looks, lambda row: row.cost[cost])
        ticks = time_ticks(min(row.cost[cost] for row in rows), max(row.cost[cost] for row in rows))
        drawing.update_xaxes(
            type="log", title_text=SPOKEN_COSTS[cost], tickvals=list(ticks), ticktext=[*ticks.values()]
        )
        plots.append(tradeoff_plot(board, rows, found, drawing, looks, what=SPOKEN_COSTS[cost]))
    return plots


def having(board: Leaderboard, other: str) -> list[Row]:
    """Return the rows with the sorting metric and another one."""
    return [row for row in board.rows if board.metric in row.mean and other in row.mean]


def time_ticks(low: float, high: float) -> dict[float, str]:
    """Return ticks at round numbers of seconds, with labels.

    >>> time_ticks(0.4, 9), time_ticks(2, 4000)
    ({0.3: '0.3 s', 1: '1 s', 3: '3 s', 10: '10 s'}, {1: '1 s', 10: '10 s', 60: '1 min', 600: '10 min', 3600: '1 h'})
    """
    wide = high > 100 * low
    seconds = [tick for tick in TICKS if low / 3 <= tick <= high * 3 and not (wide and tick in BETWEEN)]
    return {tick: f"{tick:g} s" if tick < 1 else cells.duration(tick).replace(".0 ", " ") for tick in seconds}


def share_plot(board: Leaderboard, rows: list[Row], name: str, looks: dict[str, Look]) -> Plot:
    """Return the plot against a share of titles: those in any list, or those of the long tail in a list."""
    found = front(rows, lambda row: [loss(row, board.metric), loss(row, name)])
    drawing = draw_scatter(board, rows, found, looks, lambda row: row.mean[name])
    drawing.update_xaxes(title_text=escape_html(cells.heading(name)), tickformat=".0%")
    what = SHARES[MetricName.parse(name).metric] or metric_phrase(name)
    plot = tradeoff_plot(board, rows, found, drawing, looks, what=what)
    return replace(plot, note=f"{plot.note} {LONG_TAIL}") if SHARES[MetricName.parse(name).metric] else plot


def name_of(board: Leaderboard, metric: str) -> str | None:
    """Return a metric of the same split, with the same list length as the sorting metric if available."""
    wanted = MetricName.parse(board.metric)
    parsed = {name: MetricName.parse(name) for name in board.others}
    names = [name for name, one in parsed.items() if one.metric == metric]
    return next((name for name in names if parsed[name].k == wanted.k), names[0] if names else None)


def draw_scatter(
    board: Leaderboard,
    rows: list[Row],
    found: list[Row],
    looks: dict[str, Look],
    x: Callable[[Row], float],
    *,
    across: str = "",
    named: list[Row] | None = None,
) -> go.Figure:
    """Draw every group as a point with its interval, and join the front.

    Args:
        board: The leaderboard.
        rows: Rows to draw.
        found: Rows on the front.
        looks: Colour and symbol of each group.
        x: Returns the horizontal position of a row.
        across: Metric of the horizontal axis, for its intervals; empty if it is none.
        named: Rows whose models are labelled, each at its first row; None for those on the front.
    """
    name = board.metric
    line = go.Scatter(x=[x(row) for row in found], y=[row.mean[name] for row in found], mode="lines", hoverinfo="skip")
    line.update(line={"width": 1.2, "dash": "dot"}, opacity=0.7)
    traces, labelled = [line], {row.group.model: row for row in reversed(found if named is None else named)}
    for place, row in enumerate(rows):
        look, mean = looks[row.group.label], row.mean[name]
        low, high = row.interval.get(name, (mean, mean))
        point = go.Scatter(x=[x(row)], y=[mean], mode="markers+text", legendgroup=row.group.model)
        point.update(
            marker={"color": look.colour, "symbol": look.symbol, "size": 11},
            error_y={"array": [high - mean], "arrayminus": [mean - low], "color": look.faint(0.55), "width": 0},
            text=escape_html(row.group.model) if labelled.get(row.group.model) is row else "",
            textposition="bottom center" if place % 2 else "top center",  # so that neighbours do not overlap
            name=escape_html(row.group.label),
            hovertemplate="%{fullData.name}<br>%{x:.3g}, %{y:.4f}<extra></extra>",
        )
        if ends := row.interval.get(across):
            error = {"array": [ends[1] - x(row)], "arrayminus": [x(row) - ends[0]], "width": 0}
            point.update(error_x={**error, "color": look.faint(0.55)})
        traces.append(point)
    return figure(traces, x={}, y={"title": {"text": escape_html(cells.heading(name))}, "range": metric_range(board)})


def tradeoff_plot(
    board: Leaderboard,
    rows: list[Row],
    found: list[Row],
    drawing: go.Figure,
    looks: dict[str, Look],
    *,
    what: str,
    limits: tuple[float, float] | None = None,
) -> Plot:
    names = [row.group.label for row in found]
    phrase = metric_phrase(board.metric)
    compared = f"{phrase[0].upper()}{phrase[1:]} against {what}"
    if len(found) == 1:
        title = f"{compared}: {names[0]} is best in both"
    else:
        title = f"{compared}: {cells.join_names(names)} are on the Pareto front"
    dotted = "Dotted: the Pareto front, configurations with no other that is better in one and not worse in the other. "
    note = (dotted if len(found) > 1 else "") + "Bars: 95% intervals."
    if what in SPOKEN_COSTS.values():
        note += " Marked * in the table: time with loading."
    low, high = limits or metric_range(board)
    if behind := [row.group.label for row in rows if not low <= row.mean[board.metric] <= high]:
        note += f" Far behind, outside the plotted range: {cells.join_names(behind)}."
    legend: dict[str, Look] = {}
    for row in rows:
        legend.setdefault(row.group.model, looks[row.group.label])
    return Plot(what.replace(" ", "-"), title, [Panel(drawing)], note, legend)


@dataclass(frozen=True)
class Front:
    """Headings; the label and values as text of each group on the front; a plot of the first two objectives."""

    title: str
    headings: list[str]
    rows: list[tuple[str, list[str]]]
    plot: Plot


def pareto_front(board: Leaderboard, looks: dict[str, Look]) -> Front | None:
    """Return the Pareto front of the runs' objectives; None with fewer than two."""
    names, found = objectives_and_front(board)
    if not names:
        return None
    places = [cells.decimals(row.mean[name] for row in found) for name in names]
    rows = [
        (
            row.group.label,
            [cells.spread(row.mean[n], row.std.get(n), p) for n, p in zip(names, places, strict=True)],
        )
        for row in found
    ]
    headings = [cells.heading(name) for name in names]
    measured = [row for row in board.rows if all(name in row.mean for name in names)]
    first, second = names[:2]
    of_two = front(measured, lambda row: [loss(row, first), loss(row, second)])
    drawing = draw_scatter(replace(board, metric=first), measured, of_two, looks, lambda row: row.mean[second])
    drawing.update_xaxes(title_text=escape_html(cells.heading(second)))
    legend = {row.group.model: looks[row.group.label] for row in reversed(measured)}
    note = "Dotted: the Pareto front of these two objectives. Bars: 95% intervals."
    plot = Plot("pareto", f"{metric_phrase(first)} against {metric_phrase(second)}", [Panel(drawing)], note, legend)
    phrases = cells.join_names([metric_phrase(name) for name in names])
    title = f"Pareto front: {len(found)} of {len(measured)} configurations, by {phrases}"
    return Front(title, headings, rows, plot)
