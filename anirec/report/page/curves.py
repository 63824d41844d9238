"""Learning curves: validation metric and training loss by epoch, all groups in one plot."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import polars as pl

from anirec.metrics.names import MetricName, lower_is_better, metric_phrase, objectives
from anirec.report import formatting as cells
from anirec.report.leaderboard import Leaderboard, Row, metric_names
from anirec.report.page.plots import FAR, HEADROOM, Look, Panel, Plot, escape_html, figure

MOST = 10
MAX_TRAIN_PANELS = 2


@dataclass(frozen=True)
class Curve:
    """A group's values by epoch, counted from 1: mean, lowest and highest over its runs."""

    label: str
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    n_runs: int


def learning_curve_plots(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Return the learning curves of the best groups with several epochs; empty if there are none."""
    histories = {row.group.label: history(row) for row in board.rows}
    names = metric_names(table.columns for table in histories.values())
    of_metric = f"val/{MetricName.parse(board.metric).short}"
    chosen_by = objectives(board.rows[0].group.members[0].config.get("objective"))
    candidates = {name: curves(histories, name) for name in (of_metric, *chosen_by)}
    name = next((name for name, found in candidates.items() if found), None)
    if name is None:
        return []
    shown = candidates[name]
    panels = [Panel(draw_curves(shown, name, looks), heading_of(shown, name))]
    trains = {one: curves(histories, one) for one in names if one.startswith("train/")}
    labels = {curve.label for curve in shown}
    for train, found in trains.items():
        if (kept := [curve for curve in found if curve.label in labels]) and len(panels) <= MAX_TRAIN_PANELS:
            panels.append(Panel(draw_curves(kept, train, looks), heading_of(kept, train)))
    several = any(curve.n_runs > 1 for curve in shown)
    note = "Each line is a configuration" + (
        ": the mean of its runs, with a band from the lowest to the highest." if several else "."
    )
    if len(shown) == MOST:
        note += f" Only the best {MOST} are shown."
    elif len(shown) < len(board.rows):
        note += " Models that train in a single step have no curve."
    return [
        Plot("curves", curves_title(shown, name), panels, note, {curve.label: looks[curve.label] for curve in shown})
    ]


def history(row: Row) -> pl.DataFrame:
    """Return the rows of all runs' `history.csv`; no columns if there are none.

    A metric that a run measured in one epoch only, such as a ranking of the final model, is no curve and is left out.
    """
    tables = []
    for member in row.group.members:
        try:
            table = pl.read_csv(member.folder / "history.csv", infer_schema_length=None, glob=False)
            table = table.with_columns(pl.all().cast(pl.Float64, strict=False))
            tables.append(table.select(name for name in table.columns if table[name].is_finite().sum() > 1))
        except (OSError, pl.exceptions.PolarsError):
            continue  # a history is optional
    return pl.concat(tables, how="diagonal") if tables else pl.DataFrame()


def curves(histories: dict[str, pl.DataFrame], name: str) -> list[Curve]:
    """Return the curves of the best groups that measured `name` in more than one epoch."""
    found = []
    for label, table in histories.items():
        if name not in table.columns or "epoch" not in table.columns:
            continue
        value = pl.col(name)
        measured = table.filter(value.is_finite()).group_by("epoch").agg(
            value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high"), value.len().alias("n")
        )  # fmt: skip
        if len(measured) > 1:
            measured = measured.sort("epoch")
            mean, low, high = (measured[column].to_list() for column in ("mean", "low", "high"))
            epochs = (measured["epoch"] + 1).cast(pl.Int64).to_list()
            found.append(Curve(label, epochs, mean, low, high, n_runs=max(measured["n"].to_list())))
    return found[:MOST]


def draw_curves(shown: list[Curve], name: str, looks: dict[str, Look]) -> go.Figure:
    traces = []
    for curve in shown:
        look = looks[curve.label]
        if curve.n_runs > 1:
            there_and_back = [*curve.epochs, *reversed(curve.epochs)]
            band = go.Scatter(x=there_and_back, y=[*curve.high, *reversed(curve.low)], fill="toself", mode="lines")
            band.update(line={"width": 0}, fillcolor=look.faint(0.18), hoverinfo="skip", legendgroup=curve.label)
            traces.append(band)
        line = go.Scatter(x=curve.epochs, y=curve.mean, mode="lines+markers", legendgroup=curve.label)
        line.update(
            line={"color": look.colour, "dash": look.dash, "width": 2},
            marker={"symbol": look.symbol, "size": 6},
            name=escape_html(curve.label),
            hovertemplate="%{fullData.name}<br>epoch %{x}: %{y:.4f}<extra></extra>",
        )
        traces.append(line)
    low, high = heights(shown, name)
    inside = [curve for curve in shown if min(curve.mean) <= high and max(curve.mean) >= low]
    last = max(curve.epochs[-1] for curve in inside)
    axis = {"title": {"text": "epoch"}, "dtick": max(1, round(last / 10)), "range": [0.5, last + 0.5], "tick0": 0}
    return figure(traces, x=axis, y={"title": {"text": escape_html(cells.heading(name))}, "range": (low, high)})


def heading_of(shown: list[Curve], name: str) -> str:
    """Return the metric in words, and which epochs lie outside the axes.

    >>> curve = Curve("svd", [1, 2, 3, 4, 5], [9.0, 1.3, 1.2, 1.1, 1.1], *2 * [[9.0, 1.3, 1.2, 1.1, 1.1]], n_runs=1)
    >>> heading_of([curve], "val/rmse")
    'validation RMSE; axis cut at 1.5240, outside: epoch 1 of svd'
    """
    low, high = heights(shown, name)
    outside = {
        curve.label: [epoch for epoch, value in zip(curve.epochs, curve.mean, strict=True) if not low <= value <= high]
        for curve in shown
    }
    cut = [f"{epoch_range(epochs)} of {label}" for label, epochs in outside.items() if epochs]
    if not cut:
        return metric_phrase(name)
    end = high if lower_is_better(name) else low
    value = cells.number(end, cells.decimals([end]))
    return f"{metric_phrase(name)}; axis cut at {value}, outside: {cells.join_names(cut)}"


def epoch_range(epochs: list[int]) -> str:
    """Return epochs in words.

    >>> epoch_range([1]), epoch_range([1, 2, 3]), epoch_range([1, 4])
    ('epoch 1', 'epochs 1 to 3', 'epochs 1 and 4')
    """
    if len(epochs) == 1:
        return f"epoch {epochs[0]}"
    if epochs[-1] - epochs[0] == len(epochs) - 1:
        return f"epochs {epochs[0]} to {epochs[-1]}"
    return f"epochs {cells.join_names([str(epoch) for epoch in epochs])}"


def heights(shown: list[Curve], name: str) -> tuple[float, float]:
    """Return axis limits that cover the curves without first epochs and groups far behind the rest."""
    sign = 1 if lower_is_better(name) else -1
    values = sign * np.concatenate([[*curve.mean, *curve.low, *curve.high] for curve in shown])
    best, worst = float(values.min()), float(values.max())
    reach = min(worst - best, FAR * float(np.median(values) - best) or worst - best) or abs(best) or 1.0
    low, high = sorted([sign * (best - HEADROOM * reach), sign * (best + (1 + HEADROOM) * reach)])
    return low, high


def curves_title(shown: list[Curve], name: str) -> str:
    """Return where the best value was reached."""
    pick = min if lower_is_better(name) else max
    best = pick(shown, key=lambda curve: pick(curve.mean))
    value = pick(best.mean)
    epoch, places = best.epochs[best.mean.index(value)], cells.decimals([value])
    word = "lowest" if lower_is_better(name) else "highest"
    reached = f"{value:.{places}f}, in epoch {epoch} of {best.epochs[-1]}"
    return f"{best.label} reaches the {word} {metric_phrase(name)}, {reached}"
