"""Settings and the metric of each model: parallel coordinates, and importance where held-out runs support it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from anirec.metrics.names import lower_is_better
from anirec.report import numbers as cells
from anirec.report.groups import MEASURED, without_echoes
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.importance import FEWEST, importance
from anirec.report.page.plots import Panel, Plot, figure, figures, plain, spoken
from anirec.report.settings import brief, differing, told

MOST_KEYS = 7  # axes that fit beside each other
MOST_LEVELS = 10  # values that get a tick each; more make a scale
LOG_FROM = 20.0  # largest over smallest value
WORST_TO_BEST = ["#7F8B96", "#5B9BD0", "#2A8FD6", "#E06C00"]  # and from faint to full, on white and on black


@dataclass(frozen=True)
class Axis:
    """One vertical axis: where each group crosses it, from 0 to 1, and its ticks."""

    name: str
    places: list[float]
    ticks: dict[float, str]


def hyper_parameters(board: Leaderboard) -> list[Plot]:
    """A plot for each model of which several configurations were tried."""
    plots = []
    for model in dict.fromkeys(row.group.model for row in board.rows):
        rows = [row for row in board.rows if row.group.model == model and board.metric in row.mean]
        keys = tried(rows)
        # Two lines that differ in many settings say nothing of any.
        if len(keys) == 1 or (keys and len(rows) > 2):
            plots.append(of_model(board.metric, model, rows, keys))
    return plots


def tried(rows: Sequence[Row]) -> list[str]:
    """Settings that differ, the model's own first; what only changes which figures there are is no hyper-parameter."""
    settings = [row.group.settings for row in rows]
    keys = sorted(differing(settings), key=lambda key: not key.startswith("model."))
    return [key for key in without_echoes(keys, [row.group for row in rows]) if key not in MEASURED]


def of_model(metric: str, model: str, rows: Sequence[Row], keys: list[str]) -> Plot:
    values = {key: [row.group.settings.get(key, "-") for row in rows] for key in keys}
    means = [row.mean[metric] for row in rows]
    found = importance(list(values.values()), means)
    order = sorted(range(len(keys)), key=lambda place: -found[place]) if found else range(len(keys))
    shown = [keys[place] for place in order][:MOST_KEYS]
    axes = [*(axis(told(key), values[key]) for key in shown), axis(cells.heading(metric), means, is_metric=True)]
    panels = [Panel(parallel(axes, rows, metric), "configurations", height=360)]
    note = "Every line is a configuration, orange the best, grey the worst; each axis has its own scale."
    if found:
        bars = [(told(keys[place]), found[place]) for place in order[:MOST_KEYS]]
        panels.append(Panel(importance_bars(bars, metric), "importance", height=max(160, 60 + 34 * len(bars))))
        note += f" Importance: how much the error of predicting {spoken(metric)} rises once a setting is shuffled"
        note += f" (permutation importance on held-out configurations, {len(rows)} in all), among the values tried."
    else:
        note += f" {no_importance(metric, len(rows))}"
    left = len(keys) - len(shown)
    note += f" {left} {'less important' if found else 'further'} settings are left out." if left else ""
    return Plot(f"effects-{model}", title(model, metric, keys, found, rows), panels, note)


def no_importance(metric: str, n_rows: int) -> str:
    """Why there is no importance."""
    if n_rows < FEWEST:
        return f"Fewer than {FEWEST} configurations: no importance is given."
    return f"The settings do not predict {metric} of configurations left out: no importance is given."


def title(model: str, metric: str, keys: list[str], found: list[float] | None, rows: Sequence[Row]) -> str:
    """The range of the metric and, only where importance was found, which setting matters most."""
    best, worst = figures(rows[0].mean[metric], rows[-1].mean[metric])
    if best == worst:
        return f"{model}: {best} {spoken(metric)}, whatever its settings"
    if found and any(found):
        first = told(keys[max(range(len(keys)), key=lambda place: found[place])])
        return f"{model}: {first} matters most for the difference between {best} and {worst} {spoken(metric)}"
    return f"{model}: {best} to {worst} {spoken(metric)} in {len(rows)} configurations"


def axis(name: str, values: Sequence[Any], *, is_metric: bool = False) -> Axis:
    """Few values stand at equal distances, in their order; many on a scale, logarithmic where they span decades."""
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


def parallel(axes: list[Axis], rows: Sequence[Row], metric: str) -> go.Figure:
    """Plain lines, so that no WebGL is needed; the best group is drawn last, on top."""
    across = list(range(len(axes)))
    traces = [go.Scatter(x=[at, at], y=[0, 1], mode="lines", line={"width": 1}, hoverinfo="skip") for at in across]
    goodness = np.asarray(axes[-1].places)
    goodness = 1 - goodness if lower_is_better(metric) else goodness
    colours = sample_colorscale(WORST_TO_BEST, goodness.tolist())
    value = figures(*(row.mean[metric] for row in rows))
    for place in reversed(range(len(rows))):
        line = go.Scatter(x=across, y=[one.places[place] for one in axes], mode="lines+markers")
        line.update(
            line={"color": colours[place], "width": 3 if place == 0 else 1.8},
            marker={"size": 6},
            opacity=0.35 + 0.65 * float(goodness[place]),
            name=plain(" ".join(rows[place].group.differences) or rows[place].group.model),
            text=[value[place]] * len(axes),
            hovertemplate=f"%{{fullData.name}}<br>{plain(spoken(metric))}: %{{text}}<extra></extra>",
        )
        traces.append(line)
    notes = [
        {"x": at, "y": place, "text": plain(text), "xanchor": "left", "xshift": 7}
        for at, one in enumerate(axes)
        for place, text in one.ticks.items()
    ]
    names = {"tickvals": across, "ticktext": [wrapped(one.name) for one in axes], "side": "top", "showgrid": False}
    x = {**names, "range": [-0.15, len(axes) - 1 + 0.55], "tickangle": 0, "showline": False}
    y = {"visible": False, "range": [-0.06, 1.06]}
    return figure(traces, x=x, y=y, annotations=notes)


def wrapped(key: str) -> str:
    """Dotted keys break after their dots.

    >>> wrapped("training.lr")
    'training.<br>lr'
    """
    return plain(key).replace(".", ".<br>")


def importance_bars(bars: list[tuple[str, float]], metric: str) -> go.Figure:
    """Bars in units of the metric, the most important setting on top."""
    names, rises = [plain(name) for name, _ in reversed(bars)], [rise for _, rise in reversed(bars)]
    trace = go.Bar(x=rises, y=names, orientation="h", marker={"color": "#2A7FC0"}, text=figures(*rises))
    trace.update(textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.4g}<extra></extra>", width=0.55)
    x = {
        "title": {"text": plain(f"rise of the error ({spoken(metric)})")},
        "range": [0, 1.18 * max(rises)],
        "nticks": 5,
    }
    return figure([trace], x=x, y={"type": "category", "showgrid": False})
