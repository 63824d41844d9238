"""Building blocks of the page's plots: colours and symbols of groups, panels, titles, notes and labels."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from anirec.printable import clean
from anirec.report import formatting as cells
from anirec.report.leaderboard import Leaderboard, Row

# Okabe & Ito with a lighter blue, without yellow and black, which are invisible on white or black; and two more.
COLOURS = ("#1F83C6", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#8C6D31")
FILLED = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")
SYMBOLS = dict(zip([*FILLED, *(f"{name}-open" for name in FILLED)], "●■◆▲★⬢○□◇△☆⬡", strict=True))
SHADES = 8  # shades of one hue; further groups share the last
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Look:
    """Colour as #rrggbb, and Plotly's names of symbol and dash."""

    colour: str
    symbol: str
    dash: str

    @property
    def character(self) -> str:
        return SYMBOLS[self.symbol]

    def faint(self, opacity: float) -> str:
        """Return the colour with an opacity.

        >>> Look("#0072B2", "circle", "solid").faint(0.2)
        'rgba(0,114,178,0.2)'
        """
        return f"rgba({','.join(map(str, rgb(self.colour)))},{opacity})"


def looks(board: Leaderboard) -> dict[str, Look]:
    """Map labels to looks: one hue per model in all plots; if there is only one model, one hue per group."""
    models = list(dict.fromkeys(row.group.model for row in board.rows))
    of_model: dict[str, list[str]] = {model: [] for model in models}
    for row in board.rows:
        of_model[row.group.model].append(row.group.label)
    if len(models) == 1:
        return {label: look(place, 0, 1) for place, label in enumerate(of_model[models[0]])}
    return {
        label: look(models.index(model), place, len(labels))
        for model, labels in of_model.items()
        for place, label in enumerate(labels)
    }


def look(hue: int, place: int, n: int) -> Look:
    """Return the look of group `place` of `n` with the same hue: increasingly lighter, the first filled and solid."""
    symbol = FILLED[hue % len(FILLED)] + ("-open" if place else "")
    colour = COLOURS[hue % len(COLOURS)]
    return Look(lighten(colour, min(1.0, place / max(1, min(n, SHADES) - 1))), symbol, DASHES[place % len(DASHES)])


def lighten(colour: str, by: float) -> str:
    """Make a colour lighter and paler and shift its hue by a share that stays visible on white and on black.

    >>> lighten("#0072B2", 0.0), lighten("#0072B2", 1.0)
    ('#0072b2', '#8c7de8')
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in rgb(colour)))
    parts = colorsys.hls_to_rgb(hue + 0.13 * by, lightness + by * (0.7 - lightness), saturation * (1 - 0.3 * by))
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def rgb(colour: str) -> Sequence[int]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def theme(ink: str, muted: str, grid: str, paper: str) -> dict[str, Any]:
    """Return a Plotly template, which supplies the colours that a plot does not set."""
    axis = {
        "gridcolor": grid,
        "linecolor": muted,
        "zeroline": False,
        "tickcolor": muted,
        "tickfont": {"color": muted},
        "title": {"font": {"color": ink}, "standoff": 8},
        "automargin": True,
    }
    return {
        "layout": {
            "colorway": [ink],
            "font": {"family": FONT, "size": 13, "color": ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "hoverlabel": {"bgcolor": paper, "bordercolor": muted, "font": {"family": FONT, "color": ink}},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": muted, "activecolor": ink},
            "xaxis": axis,
            "yaxis": axis,
            "shapedefaults": {"line": {"color": muted, "width": 1, "dash": "dot"}},
            "annotationdefaults": {
                "font": {"color": muted, "size": 12},
                "showarrow": False,
                "bgcolor": paper,
                "opacity": 0.85,
            },
        }
    }


THEMES = {
    "light": theme("#1c2128", "#59636e", "#e4e8ec", "#ffffff"),
    "dark": theme("#e6eaef", "#9aa5b1", "#2b323b", "#1b2027"),
}


FAR = 4.0
HEADROOM = 0.06  # share of the range left free at both ends


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        figure: Figure without a template: the page adds that of its light or dark theme.
        heading: Heading that distinguishes the panel from its neighbours.
        height: Height in pixels.
    """

    figure: go.Figure
    heading: str = ""
    height: int = 340

    @property
    def json(self) -> str:
        """JSON that is safe inside a script element."""
        text: str = self.figure.to_json()
        return text.replace("<", "\\u003c")


@dataclass(frozen=True)
class Plot:
    """Panels under a title that states the main result, above a note that explains how to read them."""

    anchor: str
    title: str
    panels: list[Panel]
    note: str
    legend: dict[str, Look] = field(default_factory=dict)


def figure(traces: list[Any], *, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    """Return a figure with margins only as large as its labels need."""
    layout = {"margin": {"l": 8, "r": 12, "t": 8, "b": 8}, "showlegend": False, "dragmode": False, **layout}
    return go.Figure(traces, {"template": {}, "xaxis": x, "yaxis": y, **layout})


def metric_range(board: Leaderboard) -> tuple[float, float]:
    """Return axis limits that contain all intervals.

    Groups more than four times as far from the best as the median are left outside; they would hide the differences
    between the others.
    """
    rows = [row for row in board.rows if isfinite(row.mean.get(board.metric, float("nan")))]
    means = [row.mean[board.metric] for row in rows] or [0.0]
    reach = FAR * abs(float(np.median(means)) - means[0]) or float("inf")
    near = [row for row in rows if abs(row.mean[board.metric] - means[0]) <= reach]
    low, high = with_headroom(near, board.metric)
    inside = [row for row in rows if low <= row.mean[board.metric] <= high]  # a few more than those near the best
    return with_headroom(inside, board.metric)


def with_headroom(rows: Sequence[Row], metric: str) -> tuple[float, float]:
    """Return the range of means and intervals, with some room at both ends."""
    ends = [end for row in rows for end in (row.mean[metric], *row.interval.get(metric, ())) if isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    room = HEADROOM * (high - low) or HEADROOM * abs(low) or 1.0
    return low - room, high + room


def escape_html(text: str) -> str:
    """Escape HTML in texts from a run, since Plotly interprets some tags, including links.

    >>> escape_html('svd <a href="//x">')
    'svd &lt;a href="//x"&gt;'
    """
    return escape(clean(text), quote=False)


def format_values(*values: float) -> list[str]:
    """Format values that are shown together, with the digits of a table."""
    places = cells.decimals(values)
    return [cells.number(value, places) for value in values]
