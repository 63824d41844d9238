"""Predicted against true values of the best groups: points if there are few rows, else shares by true value."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.names import MetricName
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.page.plots import Look, Panel, Plot, figure
from anirec.report.runs import Run

MOST = 4
FEW_ROWS = 1500
MOST_VALUES = 20  # true values with a column each
COLUMNS, LINES = 12, 30
FEW_IN_COLUMN = 5
TAIL = 0.005  # share of the values at either end that may lie outside the plot
ValueArray = NDArray[np.float64]


def predicted_vs_true_plots(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Return one panel per group; empty if no run saved predictions."""
    split = MetricName.parse(board.metric).split
    found = {
        row.group.label: rows for row in board.rows[: 2 * MOST] if (rows := pooled_predictions(row, split)) is not None
    }
    found = dict(list(found.items())[:MOST])
    if not found:
        return []
    ends = value_range(found.values())
    is_few = max(len(target) for target, _ in found.values()) <= FEW_ROWS and not has_few_values(found.values())
    draw = draw_points if is_few else draw_shares
    panels = [
        Panel(draw(*columns, looks[label], ends), f"{looks[label].character} {label}", height=320)
        for label, columns in found.items()
    ]
    form = (
        "Each point is a row of the test set." if is_few else
        "Each column shows the distribution of the predictions for that true value, darker: more; empty: fewer than "
        f"{FEW_IN_COLUMN} rows. Solid: their median."
    )  # fmt: skip
    shown = [row for row in board.rows if row.group.label in found]
    note = f"{form} Dotted: predicted = true. {row_counts(shown, split)}; values outside the range are not drawn."
    return [Plot("truth", truth_title(*next(iter(found.items()))), panels, note.replace("test set", f"{split} set"))]


def pooled_predictions(row: Row, split: str) -> tuple[ValueArray, ValueArray] | None:
    """Return true and predicted values of all runs of a group, finite ones only."""
    tables = [member.table("predictions", split) for member in row.group.members]
    columns = [
        table.select(pl.col("target", "prediction").cast(pl.Float64))
        for table in tables
        if table is not None and {"target", "prediction"} <= set(table.columns)
    ]
    if not columns:
        return None
    rows = pl.concat(columns).filter(pl.all_horizontal(pl.all().is_finite()))
    return (rows["target"].to_numpy(), rows["prediction"].to_numpy()) if len(rows) else None


def row_counts(rows: Sequence[Row], split: str) -> str:
    """Return the number of rows of the set, each counted once however many runs predicted it, and that of the runs."""
    n_rows, n_runs = [], []
    for row in rows:
        members = [run for run in row.group.members if (run.folder / "predictions.parquet").is_file()]
        one_of_split = {f"{run.split_replicate} {run.split.get('fingerprint')}": run for run in members}
        n_rows.append(sum(count_rows(run, split) for run in one_of_split.values()))
        n_runs.append(len(members))
    counted = " to ".join(f"{n:,}" for n in dict.fromkeys((min(n_rows), max(n_rows))))
    return f"{counted} rows" + (f", predicted by up to {max(n_runs)} runs" if max(n_runs) > 1 else "")


def count_rows(run: Run, split: str) -> int:
    rows = pl.scan_parquet(run.folder / "predictions.parquet").filter(pl.col("split") == split)
    return int(rows.select(pl.len()).collect().item())


def has_few_values(found: Iterable[tuple[ValueArray, ValueArray]]) -> bool:
    """Return whether there are few distinct true values, as with ratings."""
    return 1 < len(np.unique(np.concatenate([target for target, _ in found]))) <= MOST_VALUES


def value_range(found: Collection[tuple[ValueArray, ValueArray]]) -> tuple[float, float]:
    """Return the range of the true values if they are few, else of all but the most extreme values."""
    target = np.concatenate([target for target, _ in found])
    if has_few_values(found):
        return float(target.min()), float(target.max())
    both = np.concatenate([target, *(columns[1] for columns in found)])
    low, high = np.quantile(both, [TAIL, 1 - TAIL]).tolist()
    return (low, high) if high > low else (low - 1, high + 1)


def draw_points(target: ValueArray, prediction: ValueArray, look: Look, ends: tuple[float, float]) -> go.Figure:
    trace = go.Scatter(x=target.round(4), y=prediction.round(4), mode="markers")
    opacity = float(np.clip(200 / len(target), 0.25, 0.8))
    trace.update(
        marker={"color": look.colour, "size": 5, "opacity": opacity, "line": {"width": 0}},
        hovertemplate="true %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )
    return framed([diagonal(ends), trace], ends)


def draw_shares(target: ValueArray, prediction: ValueArray, look: Look, ends: tuple[float, float]) -> go.Figure:
    """Draw the share of predictions by true value as a heat map; darker is more."""
    edges = column_edges(target, ends)
    lines = np.linspace(*ends, LINES + 1)
    counts = np.histogram2d(prediction, target, bins=[lines, edges])[0]
    column = np.searchsorted(edges, target, side="right") - 1
    totals = np.histogram(target, bins=edges)[0]
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals >= FEW_IN_COLUMN)
    centres = (edges[:-1] + edges[1:]) / 2
    medians = [
        np.median(prediction[column == at]) if totals[at] >= FEW_IN_COLUMN else None for at in range(len(totals))
    ]
    heat = go.Heatmap(x=centres.round(4), y=((lines[:-1] + lines[1:]) / 2).round(4), z=share.round(4))
    heat.update(
        colorscale=[[0, look.faint(0.0)], [1, look.faint(1.0)]],
        showscale=False,
        customdata=np.broadcast_to(totals, counts.shape),
        hovertemplate="true %{x:.4g}, predicted about %{y:.3g}<br>%{z:.1%} of %{customdata:,} rows<extra></extra>",
    )
    median = go.Scatter(x=centres, y=medians, mode="lines", line={"width": 2.5}, hoverinfo="skip")
    return framed([heat, diagonal(ends), median], (float(edges[0]), float(edges[-1])), ends)


def column_edges(target: ValueArray, ends: tuple[float, float]) -> ValueArray:
    """Return edges with one column per value if there are few, else of equal width."""
    inside = np.unique(target[(target >= ends[0]) & (target <= ends[1])])
    if 1 < len(inside) <= MOST_VALUES:
        between = (inside[:-1] + inside[1:]) / 2
        return np.concatenate([[2 * inside[0] - between[0]], between, [2 * inside[-1] - between[-1]]])
    return np.linspace(*ends, COLUMNS + 1)


def diagonal(ends: tuple[float, float]) -> go.Scatter:
    return go.Scatter(x=ends, y=ends, mode="lines", line={"width": 1.5, "dash": "dot"}, opacity=0.6, hoverinfo="skip")


def framed(
    traces: Sequence[go.Scatter], across: tuple[float, float], up: tuple[float, float] | None = None
) -> go.Figure:
    x = {"title": {"text": "true value"}, "range": across, "showgrid": False}
    return figure(list(traces), x=x, y={"title": {"text": "predicted value"}, "range": up or across})


def truth_title(label: str, columns: tuple[ValueArray, ValueArray]) -> str:
    """Return how far the predictions of the best group spread, compared with the true values."""
    (low, high), (first, last) = (np.quantile(column, [0.05, 0.95]) for column in columns)
    inside = f"The central 90 % of {label}'s predictions lie between {first:.3g} and {last:.3g}"
    return f"{inside}, those of the true values between {low:.3g} and {high:.3g}"
