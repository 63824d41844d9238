"""What a plot of the page consists of: a sentence, panels side by side where there is room, and how to read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from anirec.metrics.names import MetricName
from anirec.report import numbers as cells
from anirec.report.leaderboard import Leaderboard
from anirec.report.page.looks import Look

FAR = 4.0
HEADROOM = 0.06  # of what is in the frame, left free at both ends
SPOKEN = {"val": "validation", "test": "test", "population": "population"}


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        figure: Without a template: the page puts the one of its light or dark theme in.
        heading: What tells it from its neighbours.
        height: In pixels.
    """

    figure: go.Figure
    heading: str = ""
    height: int = 340

    @property
    def json(self) -> str:
        """Safe inside a script element."""
        text: str = self.figure.to_json()
        return text.replace("<", "\\u003c")


@dataclass(frozen=True)
class Plot:
    """Panels under a title that says what is seen, above a note that says how to read it."""

    anchor: str
    title: str
    panels: list[Panel]
    note: str
    legend: dict[str, Look] = field(default_factory=dict)


def figure(traces: list[Any], *, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    """Traces on axes, with no margins but what labels need."""
    layout = {"margin": {"l": 8, "r": 12, "t": 8, "b": 8}, "showlegend": False, "dragmode": False, **layout}
    return go.Figure(traces, {"template": {}, "xaxis": x, "yaxis": y, **layout})


def frame(board: Leaderboard) -> tuple[float, float]:
    """Ends that hold all intervals, but of groups that are more than four times as far behind as most: they would hide
    what the others differ in."""
    rows = [row for row in board.rows if isfinite(row.mean.get(board.metric, float("nan")))]
    means = [row.mean[board.metric] for row in rows] or [0.0]
    reach = FAR * abs(float(np.median(means)) - means[0]) or float("inf")
    ends = []
    for row in rows:
        if abs(row.mean[board.metric] - means[0]) <= reach:
            ends += [row.mean[board.metric], *filter(isfinite, row.interval.get(board.metric, ()))]
    room = HEADROOM * (max(ends, default=0.0) - min(ends, default=0.0)) or HEADROOM * abs(means[0]) or 1.0
    return min(ends, default=0.0) - room, max(ends, default=0.0) + room


def plain(text: str) -> str:
    """Plotly reads some HTML in its texts, links too: none of it comes from a run.

    >>> plain('svd <a href="//x">')
    'svd &lt;a href="//x"&gt;'
    """
    return escape(text, quote=False)


def spoken(name: str) -> str:
    """
    >>> spoken("test/rmse"), spoken("val/ndcg@10/cold_users"), spoken("loss")
    ('test rmse', 'validation ndcg@10 of cold users', 'loss')
    """
    parsed = MetricName.parse(name)
    words = [SPOKEN.get(parsed.split, parsed.split), parsed.short]
    return " ".join(filter(None, words)) + (f" of {parsed.segment.replace('_', ' ')}" if parsed.segment else "")


def figures(*values: float) -> list[str]:
    """Numbers that stand together, with as many digits as a table would give them."""
    places = cells.decimals(values)
    return [cells.number(value, places) for value in values]


def listed(names: Sequence[str], most: int = 4) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e", "f"])
    ('a', 'a, b and c', 'a, b, c and 3 more')
    """
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
