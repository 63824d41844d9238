"""Figure of a regression tree on tags, growing to the right: one line per leaf, tag names on the edges."""

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
TITLE = 0.4  # inches: two lines above the tree
ELBOW = 0.04  # inches from a box to the fork of its edges
LONGEST = 21  # characters of a tag that fit an edge
TEXT = 5.5  # points
KEY = "In each box: mean score (points), number of posts"

Nodes = dict[int, dict[str, Any]]
NodePositions = dict[int, tuple[float, float]]  # node: inches to the left side of its box, and down to its centre


@rc_context(STYLE)
def draw_tree(nodes: pl.DataFrame) -> Figure:
    """Draw a regression tree with a box per node, darker for a higher mean; posts with the tag go up, others down.

    Args:
        nodes: node, 0 = the root; left (without the tag) and right (with it), its children, both null for a leaf;
            tag, null for a leaf; n, posts; mean, in points. Readable up to depth 6.

    Raises:
        KeyError: If a child is not among the nodes.
    """
    known: Nodes = {row["node"]: row for row in nodes.iter_rows(named=True)}
    positions = node_positions(known)
    width = max([COLUMN, *(x + BOX + MARGIN for x, _ in positions.values())])
    height = LINE + max([LINE, *(y + LINE / 2 for _, y in positions.values())])
    figure = Figure(figsize=(width, height + TITLE))
    figure.suptitle("Regression tree on tags", y=1 - MARGIN / (height + TITLE), va="top")
    share = height / (height + TITLE)
    axes = figure.add_axes((0, 0, 1, share), xlim=(0, width), ylim=(height, 0))  # in inches, from the top left
    axes.set_axis_off()
    shades = dict(zip(known, shade_by_mean([row["mean"] for row in known.values()]), strict=True))
    for node, place in positions.items():
        draw_edges(axes, known[node], positions)
        draw_box(axes, known[node], place, shades[node])
    axes.text(MARGIN, height - MARGIN, KEY, fontsize=TEXT, color=GREY, va="bottom")
    return figure


def node_positions(nodes: Nodes) -> NodePositions:
    """Return the position of each node: leaves evenly spaced on lines of their own, others midway between children.

    >>> two = {0: {"left": 1, "right": 2}, 1: {"left": None, "right": None}, 2: {"left": None, "right": None}}
    >>> [node for node, (x, y) in sorted(node_positions(two).items(), key=lambda item: item[1][1])]
    [2, 0, 1]
    """
    lines, positions = count(), {}

    def place(node: int, depth: int) -> float:
        y = mean([place(child, depth + 1) for child in children(nodes[node])] or [MARGIN + (next(lines) + 0.5) * LINE])
        positions[node] = (MARGIN + depth * (BOX + EDGE), y)
        return y

    if nodes:
        place(0, 0)
    return positions


def children(node: dict[str, Any]) -> list[int]:
    """Return the children that exist, the one with the tag first."""
    return [child for child in (node["right"], node["left"]) if child is not None]


def shade_by_mean(means: list[float]) -> list[float]:
    """Return the shade of each node, from 0.05 for the lowest mean to 0.85 for the highest."""
    low, high = min(means, default=0), max(means, default=0)
    return [0.05 + 0.8 * (mean - low) / ((high - low) or 1) for mean in means]


def draw_edges(axes: Axes, node: dict[str, Any], positions: NodePositions) -> None:
    x, y = positions[node["node"]]
    part = x + BOX + ELBOW
    for child, without in zip(children(node), ("", "not "), strict=False):
        end, level = positions[child]
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
