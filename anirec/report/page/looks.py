"""How groups look, in colours that all people tell apart on white and on black, and how the page does."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anirec.report.leaderboard import Leaderboard

# Okabe & Ito, blue a little lighter, without yellow and black, which vanish on white or black; then two more.
COLOURS = ("#1F83C6", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#8C6D31")
FILLED = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")
SYMBOLS = dict(zip([*FILLED, *(f"{name}-open" for name in FILLED)], "●■◆▲★⬢○□◇△☆⬡", strict=True))
SHADES = 8  # of one hue; further groups share the last
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Look:
    """Colour as #rrggbb, Plotly's names of symbol and dash."""

    colour: str
    symbol: str
    dash: str

    @property
    def character(self) -> str:
        return SYMBOLS[self.symbol]

    def faint(self, opacity: float) -> str:
        """
        >>> Look("#0072B2", "circle", "solid").faint(0.2)
        'rgba(0,114,178,0.2)'
        """
        return f"rgba({','.join(map(str, rgb(self.colour)))},{opacity})"


def looks(board: Leaderboard) -> dict[str, Look]:
    """Label to look: a model has one hue in every plot; where there is one model alone, its groups have."""
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
    """The look of group `place` of `n` that share a hue: ever lighter ones, the first one filled and solid."""
    symbol = FILLED[hue % len(FILLED)] + ("-open" if place else "")
    colour = COLOURS[hue % len(COLOURS)]
    return Look(shaded(colour, min(1.0, place / max(1, min(n, SHADES) - 1))), symbol, DASHES[place % len(DASHES)])


def shaded(colour: str, by: float) -> str:
    """Lighter, paler, and of a neighbouring hue, by a share of the way that can be seen on white and on black.

    >>> shaded("#0072B2", 0.0), shaded("#0072B2", 1.0)
    ('#0072b2', '#8c7de8')
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in rgb(colour)))
    parts = colorsys.hls_to_rgb(hue + 0.13 * by, lightness + by * (0.7 - lightness), saturation * (1 - 0.3 * by))
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def rgb(colour: str) -> Sequence[int]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def theme(ink: str, muted: str, grid: str, paper: str) -> dict[str, Any]:
    """A template of Plotly's: whatever a plot gives no colour of its own takes these."""
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
