"""Hyper-parameters of each model against the metric: parallel coordinates and permutation importance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from anirec.metrics.names import lower_is_better, metric_phrase
from anirec.report import formatting as cells
from anirec.report.formatting import brief, short_key
from anirec.report.labels import telling_keys
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.importance import FEWEST, importance
from anirec.report.page.plots import Panel, Plot, escape_html, figure, format_values

MOST_KEYS = 7  # axes that fit side by side
MOST_LEVELS = 10  # values with a tick each; more are placed on a scale
LOG_FROM = 20.0  # largest over smallest value
WORST_TO_BEST = [
    "#7F8B96",
    "#5B9BD0",
    "#2A8FD6",
    "#E06C00",
]  # also from transparent to opaque; visible on white and on black


@dataclass(frozen=True)
class Axis:
    """One vertical axis: the position of each group on it, from 0 to 1, and its ticks."""

    name: str
    places: list[float]
    ticks: dict[float, str]


def hyper_parameter_plots(board: Leaderboard) -> list[Plot]:
    """Return a plot for each model with several configurations."""
    plots = []
    for model in dict.fromkeys(row.group.model for row in board.rows):
        rows = [row for row in board.rows if row.group.model == model and board.metric in row.mean]
        keys = telling_keys(model, [model] * len(rows), [row.group.settings for row in rows])
        # Two configurations that differ in several settings do not show the effect of any one of them.
        if len(keys) == 1 or (keys and len(rows) > 2):
            plots.append(model_plot(board.metric, model, rows, keys))
    return plots


def model_plot(metric: str, model: str, rows: Sequence[Row], keys: list[str]) -> Plot:
    values = {key: [row.group.settings.get(key, "-") for row in rows] for key in keys}
    means = [row.mean[metric] for row in rows]
    found = importance(list(values.values()), means)
    order = sorted(range(len(keys)), key=lambda place: -found[place]) if found else range(len(keys))
    shown = [keys[place] for place in order][:MOST_KEYS]
    axes = [*(axis(short_key(key), values[key]) for key in shown), axis(cells.heading(metric), means, is_metric=True)]
    panels = [Panel(parallel_coordinates(axes, rows, metric), "configurations", height=360)]
    note = "Each line is a configuration, from grey (worst) to orange (best); each axis has its own scale."
    if found:
        bars = [(short_key(keys[place]), found[place]) for place in order[:MOST_KEYS]]
        panels.append(Panel(importance_bars(bars, metric), "importance", height=max(160, 60 + 34 * len(bars))))
        note += (
            f" Importance: increase of the error in predicting {metric_phrase(metric)} if a setting is shuffled "
            f"(permutation importance on held-out configurations, {len(rows)} in all). It applies to the tried values "
            "only."
        )
    else:
        note += f" {no_importance(metric, len(rows))}"
    left = len(keys) - len(shown)
    note += f" {left} {'less important' if found else 'further'} settings are not shown." if left else ""
    return Plot(f"effects-{model}", effects_title(model, metric, keys, found, rows), panels, note)


def no_importance(metric: str, n_rows: int) -> str:
    """Return why no importance is given."""
    if n_rows < FEWEST:
        return f"Fewer than {FEWEST} configurations: too few to compute the importance of settings."
    return f"No importance is given: the settings do not predict {metric} of held-out configurations."


def effects_title(model: str, metric: str, keys: list[str], found: list[float] | None, rows: Sequence[Row]) -> str:
    """Return the range of the metric and, if importance was computed, the most important setting."""
    best, worst = format_values(rows[0].mean[metric], rows[-1].mean[metric])
    if best == worst:
        return f"{model}: {metric_phrase(metric)} {best} for all settings tried"
    if found and any(found):
        first = short_key(keys[max(range(len(keys)), key=lambda place: found[place])])
        return f"{model}: {first} matters most for {metric_phrase(metric)}, which ranges from {best} to {worst}"
    return f"{model}: {metric_phrase(metric)} from {best} to {worst} in {len(rows)} configurations"


def axis(name: str, values: Sequence[Any], *, is_metric: bool = False) -> Axis:
    """Place few values at equal distances in their order, many on a scale, logarithmic over a wide range."""
    levels = {brief(value): value for value in values}
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not is_metric and (len(levels) <= MOST_LEVELS or not numeric):
        ordered = sorted(levels, key=lambda text: (levels[text] if numeric else 0, text))
        place = {text: (at + 0.5) / len(ordered) for at, text in enumerate(ordered)}
        ticks = {place[text]: text for text in ordered} if len(ordered) <= 2 * MOST_LEVELS else {}
        return Axis(name, [place[brief(value)] for value in values], ticks)
    numbers = np.asarray(values, np.float64)
    is_log = not is_metric and numbers.min() > 0 and numbers.max() > LOG_FROM * numbers.min()
    scaled = np.log10(numbers) if is_log else numbers
    low, high = float(scaled.min()), float(scaled.max())
    share = (scaled - low) / ((high - low) or 1.0)
    ends = {place: low + place * (high - low) for place in (0.0, 0.5, 1.0)}
    ticks = {place: f"{10**end if is_log else end:.4g}" for place, end in ends.items()}
    return Axis(name, share.tolist(), ticks)


def parallel_coordinates(axes: list[Axis], rows: Sequence[Row], metric: str) -> go.Figure:
    """Draw parallel coordinates as plain lines, without WebGL; the best group is drawn last, on top."""
    across = list(range(len(axes)))
    traces = [go.Scatter(x=[at, at], y=[0, 1], mode="lines", line={"width": 1}, hoverinfo="skip") for at in across]
    goodness = np.asarray(axes[-1].places)
    goodness = 1 - goodness if lower_is_better(metric) else goodness
    colours = sample_colorscale(WORST_TO_BEST, goodness.tolist())
    value = format_values(*(row.mean[metric] for row in rows))
    for place in reversed(range(len(rows))):
        line = go.Scatter(x=across, y=[one.places[place] for one in axes], mode="lines+markers")
        line.update(
            line={"color": colours[place], "width": 3 if place == 0 else 1.8},
            marker={"size": 6},
            opacity=0.35 + 0.65 * float(goodness[place]),
            name=escape_html(" ".join(rows[place].group.differences) or rows[place].group.model),
            text=[value[place]] * len(axes),
            hovertemplate=f"%{{fullData.name}}<br>{escape_html(metric_phrase(metric))}: %{{text}}<extra></extra>",
        )
        traces.append(line)
    notes = [
        {"x": at, "y": place, "text": escape_html(text), "xanchor": "left", "xshift": 7}
        for at, one in enumerate(axes)
        for place, text in one.ticks.items()
    ]
    names = {"tickvals": across, "ticktext": [wrap_key(one.name) for one in axes], "side": "top", "showgrid": False}
    x = {**names, "range": [-0.15, len(axes) - 1 + 0.55], "tickangle": 0, "showline": False}
    y = {"visible": False, "range": [-0.06, 1.06]}
    return figure(traces, x=x, y=y, annotations=notes)


def wrap_key(key: str) -> str:
    """Break dotted keys after their dots.

    >>> wrap_key("training.lr")
    'training.<br>lr'
    """
    return escape_html(key).replace(".", ".<br>")


def importance_bars(bars: list[tuple[str, float]], metric: str) -> go.Figure:
    """Draw bars in units of the metric, the most important setting on top."""
    names, rises = [escape_html(name) for name, _ in reversed(bars)], [rise for _, rise in reversed(bars)]
    trace = go.Bar(x=rises, y=names, orientation="h", marker={"color": "#2A7FC0"}, text=format_values(*rises))
    trace.update(textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.4g}<extra></extra>", width=0.55)
    x = {
        "title": {"text": escape_html(f"increase of the error ({metric_phrase(metric)})")},
        "range": [0, 1.18 * max(rises)],
        "nticks": 5,
    }
    return figure([trace], x=x, y={"type": "category", "showgrid": False})
