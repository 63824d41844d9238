"""The metric in segments: bars by thirds of users and items, and by bands of true scores."""

import re
from collections.abc import Sequence

import plotly.graph_objects as go

from anirec.metrics.names import MetricName, has_direction, lower_is_better
from anirec.report import formatting as cells
from anirec.report.leaderboard import Leaderboard, Row, metric_names
from anirec.report.page.plots import Look, Panel, Plot, escape_html, figure, format_values

MOST = 6
# Other suffixes of metric names, such as the error of a constant, are not segments.
KINDS = {
    "users": re.compile(r"(\w+)_users"),
    "items": re.compile(r"(\w+)_items"),
    "true score": re.compile(r"score_(.+)"),
}


def segment_plots(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Return bars of the sorting metric in segments or, if it has none, of the first metric that has."""
    wanted = MetricName.parse(board.metric)
    parsed = [MetricName.parse(name) for name in metric_names(row.mean for row in board.rows)]
    inside = [one for one in parsed if one.split == wanted.split and kind_of(one.segment)]
    shorts = list(dict.fromkeys(one.short for one in inside))
    if not shorts:
        return []
    short = wanted.short if wanted.short in shorts else next(filter(has_direction, shorts), shorts[0])
    rows = board.rows[:MOST]
    panels, titles = [], []
    for kind in KINDS:
        names = [one.segment for one in inside if one.short == short and kind_of(one.segment) == kind]
        of_segment = {segment: f"{wanted.split}/{short}/{segment}" for segment in names}
        if len(of_segment) > 1 and any(name in row.mean for row in rows for name in of_segment.values()):
            panels.append(Panel(bars(rows, of_segment, looks, kind, cells.heading(f"{wanted.split}/{short}")), kind))
            titles.append(segments_title(rows[0], of_segment, short, kind))
    if not panels:
        return []
    note = "Users and items are divided into thirds by their number of training ratings; cold ones have the fewest. "
    note = note if any(panel.heading != "true score" for panel in panels) else ""
    note += f"Only the best {MOST} are shown." if len(board.rows) > MOST else ""
    heading = next(filter(None, titles), f"{short} by {panels[0].heading}")
    return [Plot("segments", heading, panels, note, {row.group.label: looks[row.group.label] for row in rows})]


def kind_of(segment: str) -> str | None:
    """Return the kind of a segment; None if the suffix is not a segment.

    >>> kind_of("cold_users"), kind_of("score_from_8"), kind_of("by_median")
    ('users', 'true score', None)
    """
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(segment)), None)


def segment_label(segment: str, kind: str) -> str:
    """Return the label of a segment on an axis.

    >>> segment_label("cold_users", "users"), segment_label("score_6_7.5", "true score")
    ('cold', '6 to 7.5')
    >>> segment_label("score_below_5", "true score")
    'below 5'
    """
    found = KINDS[kind].fullmatch(segment)
    words = found[1].split("_") if found else [segment]
    return " ".join(words) if words[0] in ("below", "from") else " to ".join(words)


def bars(rows: Sequence[Row], of_segment: dict[str, str], looks: dict[str, Look], kind: str, heading: str) -> go.Figure:
    traces = []
    segments = [segment_label(segment, kind) for segment in of_segment]
    for row in rows:
        label = row.group.label
        trace = go.Bar(x=segments, y=[row.mean.get(name) for name in of_segment.values()], legendgroup=label)
        trace.update(
            marker={"color": looks[label].colour, "line": {"width": 0}},
            name=escape_html(label),
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.4f}<extra></extra>",
        )
        traces.append(trace)
    x = {"type": "category", "title": {"text": kind}, "showgrid": False}
    return figure(traces, x=x, y={"title": {"text": escape_html(heading)}}, bargap=0.25, bargroupgap=0.08)


def segments_title(best: Row, of_segment: dict[str, str], short: str, kind: str) -> str:
    """Return the best and the worst mean of the best group; the difference is not tested."""
    values = {segment: best.mean[name] for segment, name in of_segment.items() if name in best.mean}
    if not has_direction(short) or len(values) < 2:
        return ""
    pick, other = (min, max) if lower_is_better(short) else (max, min)
    good, bad = pick(values, key=values.__getitem__), other(values, key=values.__getitem__)
    texts = format_values(values[good], values[bad])
    of = {
        segment: f"true scores {segment_label(segment, kind)}" if kind == "true score" else segment.replace("_", " ")
        for segment in values
    }
    return f"{short} of {best.group.label}: from {texts[0]} on {of[good]} to {texts[1]} on {of[bad]}"
