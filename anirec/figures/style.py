"""How every picture looks: it fits a column of a page, or the page, in colours that survive grey printing.

Matplotlib's objects alone: a Figure made here is in nobody's list of open ones, and needs no closing.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # inches: one column of two, and both
ROW = 0.15  # inches: a line of a list
SMALL = 6.5  # points: names and counts that stand close together
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#808080"  # Okabe & Ito: told apart by all, and of unequal lightness
STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 300,
    "savefig.dpi": 300,
}


def new_figure(*, height: float, width: float = COLUMN) -> tuple[Figure, Axes]:
    """Height and width in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def list_names(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows y = 0, 1, ... from the top down."""
    axes.set_yticks(range(len(names)), names, fontsize=SMALL)
    axes.set_ylim(max(1, len(names)) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def shortened(name: str, longest: int = 30) -> str:
    """At most that many characters, and a dollar sign that starts no formula.

    >>> shortened("kantai_collection", 10)
    'kantai_co…'
    >>> print(shortened("$_$"))
    \\$_\\$
    """
    fitting = name if len(name) <= longest else name[: longest - 1] + "…"
    return fitting.replace("$", r"\$")
