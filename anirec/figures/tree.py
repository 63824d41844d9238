"""A picture of a regression tree on tags. It grows to the right: a leaf has a line to itself, a tag's name an edge."""

from itertools import count
from statistics import mean
from typing import Any

import polars as pl
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from anirec.figures.style import COLUMN, GREY, STYLE, shortened

BOX, BOX_HEIGHT, EDGE, LINE, MARGIN = 0.44, 0.23, 1.17, 0.29, 0.06  # inches: a tree of depth 4 is as wide as a page
ELBOW = 0.04  # inches from a box to where its edges part
LONGEST = 21  # characters of a tag that fit an edge
TEXT = 5.5  # points
KEY = "In each box: mean score (points), number of posts"

Nodes = dict[int, dict[str, Any]]
Places = dict[int, tuple[float, float]]  # node: inches to its box's left side, and down to its middle


@rc_context(STYLE)
def tree(nodes: pl.DataFrame) -> Figure:
    """Every node a box, the darker the higher its mean; posts with the tag go up, those without go down.

    Args:
        nodes: node, 0 = the root; left (without the tag) and right (with it), its children, both null for a leaf;
            tag, null for a leaf; n, posts; mean, in points. Up to depth 6 it stays readable.

    Raises:
        KeyError: For a child that is no node.
    """
    known: Nodes = {row["node"]: row for row in nodes.iter_rows(named=True)}
    places = placed(known)
    width = max([COLUMN, *(x + BOX + MARGIN for x, _ in places.values())])
    height = LINE + max([LINE, *(y + LINE / 2 for _, y in places.values())])
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))  # in inches, from the top left
    axes.set_axis_off()
    shades = dict(zip(known, shaded([row["mean"] for row in known.values()]), strict=True))
    for node, place in places.items():
        draw_edges(axes, known[node], places)
        draw_box(axes, known[node], place, shades[node])
    axes.text(MARGIN, height - MARGIN, KEY, fontsize=TEXT, color=GREY, va="bottom")
    return figure


def placed(nodes: Nodes) -> Places:
    """Leaves on lines of their own, evenly; every other node halfway between its children.

    >>> two = {0: {"left": 1, "right": 2}, 1: {"left": None, "right": None}, 2: {"left": None, "right": None}}
    >>> [node for node, (x, y) in sorted(placed(two).items(), key=lambda item: item[1][1])]
    [2, 0, 1]
    """
    lines, places = count(), {}

    def place(node: int, depth: int) -> float:
        y = mean([place(child, depth + 1) for child in children(nodes[node])] or [MARGIN + (next(lines) + 0.5) * LINE])
        places[node] = (MARGIN + depth * (BOX + EDGE), y)
        return y

    if nodes:
        place(0, 0)
    return places


def children(node: dict[str, Any]) -> list[int]:
    """With the tag, without it."""
    return [child for child in (node["right"], node["left"]) if child is not None]


def shaded(means: list[float]) -> list[float]:
    """Lightness from 0.05 for the lowest mean to 0.85 for the highest."""
    low, high = min(means, default=0), max(means, default=0)
    return [0.05 + 0.8 * (mean - low) / ((high - low) or 1) for mean in means]


def draw_edges(axes: Axes, node: dict[str, Any], places: Places) -> None:
    x, y = places[node["node"]]
    part = x + BOX + ELBOW
    for child, without in zip(children(node), ("", "not "), strict=False):
        end, level = places[child]
        axes.plot([x + BOX, part, part, end], [y, y, level, level], color=GREY, linewidth=0.7)
        axes.text(part + 0.02, level - 0.02, without + shortened(node["tag"], LONGEST), fontsize=TEXT, va="bottom")


def draw_box(axes: Axes, node: dict[str, Any], place: tuple[float, float], shade: float) -> None:
    x, y = place
    color = colormaps["Blues"](shade)
    axes.add_patch(Rectangle((x, y - BOX_HEIGHT / 2), BOX, BOX_HEIGHT, facecolor=color, edgecolor=GREY, linewidth=0.5))
    ink = "white" if shade > 0.65 else "black"
    for text, below, weight in ((f"{node['mean']:.2f}", -0.048, "bold"), (f"{node['n']:,}", 0.055, "normal")):
        axes.text(
            x + BOX / 2, y + below, text, fontsize=TEXT, weight=weight, color=ink, ha="center", va="center_baseline"
        )
