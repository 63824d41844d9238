"""The metric in segments: for whom, and of what, each group is good."""

import re
from collections.abc import Sequence

import plotly.graph_objects as go

from anirec.metrics.names import MetricName, has_direction, lower_is_better
from anirec.report import numbers as cells
from anirec.report.leaderboard import Leaderboard, Row, metric_names
from anirec.report.page.looks import Look
from anirec.report.page.plots import Panel, Plot, figure, figures, plain

MOST = 6
# What else stands behind a metric's name, such as the error of a constant, is no segment.
KINDS = {
    "users": re.compile(r"(\w+)_users"),
    "items": re.compile(r"(\w+)_items"),
    "true score": re.compile(r"score_(.+)"),
}


def segments(board: Leaderboard, looks: dict[str, Look]) -> list[Plot]:
    """Of the metric sorted by; where it has no segments, of the first that has."""
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
            titles.append(title(rows[0], of_segment, short, kind))
    if not panels:
        return []
    note = "Users and items are in thirds by their number of training ratings: cold ones have the fewest. "
    note = note if any(panel.heading != "true score" for panel in panels) else ""
    note += f"The best {MOST} are shown." if len(board.rows) > MOST else ""
    told = next(filter(None, titles), f"{short} by {panels[0].heading}")
    return [Plot("segments", told, panels, note, {row.group.label: looks[row.group.label] for row in rows})]


def kind_of(segment: str) -> str | None:
    """
    >>> kind_of("cold_users"), kind_of("score_from_8"), kind_of("by_median")
    ('users', 'true score', None)
    """
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(segment)), None)


def spoken(segment: str, kind: str) -> str:
    """
    >>> spoken("cold_users", "users"), spoken("score_6_7.5", "true score"), spoken("score_below_5", "true score")
    ('cold', '6 to 7.5', 'below 5')
    """
    found = KINDS[kind].fullmatch(segment)
    words = found[1].split("_") if found else [segment]
    return " ".join(words) if words[0] in ("below", "from") else " to ".join(words)


def bars(rows: Sequence[Row], of_segment: dict[str, str], looks: dict[str, Look], kind: str, heading: str) -> go.Figure:
    traces = []
    segments = [spoken(segment, kind) for segment in of_segment]
    for row in rows:
        label = row.group.label
        trace = go.Bar(x=segments, y=[row.mean.get(name) for name in of_segment.values()], legendgroup=label)
        trace.update(
            marker={"color": looks[label].colour, "line": {"width": 0}},
            name=plain(label),
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.4f}<extra></extra>",
        )
        traces.append(trace)
    x = {"type": "category", "title": {"text": kind}, "showgrid": False}
    return figure(traces, x=x, y={"title": {"text": plain(heading)}}, bargap=0.25, bargroupgap=0.08)


def title(best: Row, of_segment: dict[str, str], short: str, kind: str) -> str:
    """The two ends of what the best group does: measured means, without a test that they differ."""
    values = {segment: best.mean[name] for segment, name in of_segment.items() if name in best.mean}
    if not has_direction(short) or len(values) < 2:
        return ""
    pick, other = (min, max) if lower_is_better(short) else (max, min)
    good, bad = pick(values, key=values.__getitem__), other(values, key=values.__getitem__)
    told = figures(values[good], values[bad])
    of = {
        segment: f"true scores {spoken(segment, kind)}" if kind == "true score" else segment.replace("_", " ")
        for segment in values
    }
    return f"{short} of {best.group.label}: from {told[0]} on {of[good]} to {told[1]} on {of[bad]}"
