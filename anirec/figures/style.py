"""Common style of all figures: sized for one column or a full page, in colours that remain distinct in grey print.

Only Matplotlib objects are used: a Figure made here is not registered with pyplot and need not be closed.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # inches: one of two columns, and the full width
ROW = 0.15  # inches: one line of a list
SMALL = 6.5  # points: closely spaced names and counts
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#808080"  # Okabe & Ito: safe for colour blindness, of unequal lightness
STYLE: Any = {
    "font.size": 8,
    "figure.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 300,
    "savefig.dpi": 300,
}


def new_figure(*, height: float, width: float = COLUMN, title: str = "") -> tuple[Figure, Axes]:
    """Return a figure and its axes; height and width in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title)
    return figure, figure.add_subplot()


def name_origin(figure: Figure, origin: str) -> None:
    """Add a line to the title of a figure that names what was drawn: a model and its data, or a dataset."""
    title = "\n".join(filter(None, [figure.get_suptitle(), origin]))
    figure.suptitle(title, fontsize=STYLE["figure.titlesize"])  # the style is not active here


def list_names(axes: Axes, names: Sequence[str]) -> None:
    """Label the rows y = 0, 1, ... from the top down."""
    axes.set_yticks(range(len(names)), names, fontsize=SMALL)
    axes.set_ylim(max(1, len(names)) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def shortened(name: str, longest: int = 30) -> str:
    """Return the name with at most that many characters, with dollar signs escaped so that they start no formula.

    >>> shortened("kantai_collection", 10)
    'kantai_co…'
    >>> print(shortened("$_$"))
    \\$_\\$
    """
    fitting = name if len(name) <= longest else name[: longest - 1] + "…"
    return fitting.replace("$", r"\$")
