"""True against predicted values of the best groups: points if there are few rows, else shares by predicted value.

By true value, every good prediction would look too moderate: high values come with lucky noise (regression to the
mean). By predicted value, the true values of a calibrated model lie around the diagonal.
"""

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
    ends = value_range([target for target, _ in found.values()])
    across = value_range([prediction for _, prediction in found.values()])
    is_few = max(len(target) for target, _ in found.values()) <= FEW_ROWS and not has_few_values(
        [target for target, _ in found.values()]
    )
    draw = draw_points if is_few else draw_shares
    panels = [
        Panel(draw(*columns, looks[label], ends, across), f"{looks[label].character} {label}", height=320)
        for label, columns in found.items()
    ]
    form = (
        "Each point is a row of the test set." if is_few else
        "Each column shows the distribution of the true values for that predicted value, darker: more; empty: fewer "
        f"than {FEW_IN_COLUMN} rows. Solid: their mean, which follows the dotted line if the model is calibrated."
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
    rows = pl.scan_parquet(run.folder / "predictions.parquet", glob=False).filter(pl.col("split") == split)
    return int(rows.select(pl.len()).collect().item())


def has_few_values(columns: Iterable[ValueArray]) -> bool:
    """Return whether there are few distinct values, as with true ratings."""
    return 1 < len(np.unique(np.concatenate(list(columns)))) <= MOST_VALUES


def value_range(columns: Collection[ValueArray]) -> tuple[float, float]:
    """Return the range of the values if they are few, else of all but the most extreme ones."""
    values = np.concatenate(list(columns))
    if has_few_values(columns):
        return float(values.min()), float(values.max())
    low, high = np.quantile(values, [TAIL, 1 - TAIL]).tolist()
    return (low, high) if high > low else (low - 1, high + 1)


def draw_points(
    target: ValueArray, prediction: ValueArray, look: Look, ends: tuple[float, float], across: tuple[float, float]
) -> go.Figure:
    trace = go.Scatter(x=prediction.round(4), y=target.round(4), mode="markers")
    opacity = float(np.clip(200 / len(target), 0.25, 0.8))
    trace.update(
        marker={"color": look.colour, "size": 5, "opacity": opacity, "line": {"width": 0}},
        hovertemplate="predicted %{x:.4g}, true %{y:.4g}<extra></extra>",
    )
    return framed([diagonal(across, ends), trace], across, ends)


def draw_shares(
    target: ValueArray, prediction: ValueArray, look: Look, ends: tuple[float, float], across: tuple[float, float]
) -> go.Figure:
    """Draw the share of true values by predicted value as a heat map; darker is more."""
    edges, lines = column_edges(prediction, across, COLUMNS), column_edges(target, ends, LINES)
    counts = np.histogram2d(target, prediction, bins=[lines, edges])[0]
    column = np.searchsorted(edges, prediction, side="right") - 1
    totals = np.histogram(prediction, bins=edges)[0]
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals >= FEW_IN_COLUMN)
    centres = (edges[:-1] + edges[1:]) / 2
    means = [target[column == at].mean() if totals[at] >= FEW_IN_COLUMN else None for at in range(len(totals))]
    heat = go.Heatmap(x=centres.round(4), y=((lines[:-1] + lines[1:]) / 2).round(4), z=share.round(4))
    heat.update(
        colorscale=[[0, look.faint(0.0)], [1, look.faint(1.0)]],
        showscale=False,
        customdata=np.broadcast_to(totals, counts.shape),
        hovertemplate="predicted about %{x:.3g}, true %{y:.4g}<br>%{z:.1%} of %{customdata:,} rows<extra></extra>",
    )
    mean = go.Scatter(x=centres, y=means, mode="lines+markers", line={"width": 2.5}, hoverinfo="skip")
    up = (float(lines[0]), float(lines[-1]))
    return framed([heat, diagonal((float(edges[0]), float(edges[-1])), up), mean], (edges[0], edges[-1]), up)


def column_edges(values: ValueArray, ends: tuple[float, float], n: int) -> ValueArray:
    """Return the edges of one bin per value if there are few, else of `n` bins of equal width."""
    inside = np.unique(values[(values >= ends[0]) & (values <= ends[1])])
    if 1 < len(inside) <= MOST_VALUES:
        between = (inside[:-1] + inside[1:]) / 2
        return np.concatenate([[2 * inside[0] - between[0]], between, [2 * inside[-1] - between[-1]]])
    return np.linspace(*ends, n + 1)


def diagonal(across: tuple[float, float], up: tuple[float, float]) -> go.Scatter:
    """Draw predicted = true where both axes have the value."""
    ends = [max(across[0], up[0]), min(across[1], up[1])]
    return go.Scatter(x=ends, y=ends, mode="lines", line={"width": 1.5, "dash": "dot"}, opacity=0.6, hoverinfo="skip")


def framed(traces: Sequence[go.Scatter], across: tuple[float, float], up: tuple[float, float]) -> go.Figure:
    x = {"title": {"text": "predicted value"}, "range": across, "showgrid": False}
    return figure(list(traces), x=x, y={"title": {"text": "true value"}, "range": up})


def truth_title(label: str, columns: tuple[ValueArray, ValueArray]) -> str:
    """Return how far the predictions of the best group spread, compared with the true values."""
    (low, high), (first, last) = (np.quantile(column, [0.05, 0.95]) for column in columns)
    inside = f"The central 90% of {label}'s predictions lie between {first:.3g} and {last:.3g}"
    return f"{inside}, those of the true values between {low:.3g} and {high:.3g}"
