"""The backtest on the page: the metric in each window of time, as a plot; the table is that of the terminal."""

import plotly.graph_objects as go

from anirec.metrics.names import metric_phrase
from anirec.report import formatting as cells
from anirec.report.page.plots import Look, Panel, Plot, escape_html, figure
from anirec.report.windows import Backtest

MOST = 6


def backtest_plots(found: Backtest | None, looks: dict[str, Look]) -> list[Plot]:
    """Return the metric by window, one line for each of the best models; empty without a backtest."""
    if found is None:
        return []
    shown = found.models[:MOST]
    traces = []
    for place, label in enumerate(shown):
        outcomes = found.outcomes[place]
        windows = [window for window in found.windows if window in outcomes]
        means = [outcomes[window].mean for window in windows]
        ends = [outcomes[window].interval or (outcomes[window].mean,) * 2 for window in windows]
        look = looks[label]
        trace = go.Scatter(x=windows, y=means, mode="lines+markers", legendgroup=label, name=escape_html(label))
        trace.update(
            line={"color": look.colour, "width": 1.5, "dash": look.dash},
            marker={"color": look.colour, "symbol": look.symbol, "size": 8},
            error_y={
                "array": [high - mean for mean, (_, high) in zip(means, ends, strict=True)],
                "arrayminus": [mean - low for mean, (low, _) in zip(means, ends, strict=True)],
                "color": look.faint(0.45),
                "width": 0,
            },
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.4f}<extra></extra>",
        )
        traces.append(trace)
    x = {"type": "category", "title": {"text": "test window"}, "categoryorder": "array", "categoryarray": found.windows}
    drawing = figure(traces, x=x, y={"title": {"text": escape_html(cells.heading(found.metric))}})
    note = "Each point is trained on what came before its window. Bars: 95% intervals of one window."
    note += f" Only the best {MOST} are shown." if len(found.models) > MOST else ""
    title = f"Backtest: {metric_phrase(found.metric)} in {len(found.windows)} windows of time"
    return [Plot("backtest", title, [Panel(drawing)], note, {label: looks[label] for label in shown})]
