"""Pictures of tags: which occur together, what their principal components are, how they move a score."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, PAGE, ROW, SMALL, STYLE, list_names, new_figure, shortened

NAMED_COMPONENTS = 10
EFFECTS_EACH_WAY = 15
PAIRS = 20
TIED, REPELLED = 12, 4


@rc_context(STYLE)
def explained_variance(components: pl.DataFrame) -> Figure:
    """What share of the tags' variance the components explain, added up; and what the first ten are made of.

    Args:
        components: component, from 1; share of the total variance, 0 to 1, falling; tags, a list of the names of
            the strongest three, each with a plus or minus sign in front.
    """
    components = components.sort("component").with_columns(percent=100 * pl.col("share").cast(pl.Float64))
    explained = components["percent"].cum_sum()
    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    total, each = figure.subplots(1, 2, width_ratios=[1, 1.4])
    total.plot(components["component"], explained, color=BLUE)
    if len(components):
        end = (components["component"][-1], explained[-1])
        total.plot(*end, "o", color=BLUE, markersize=3.5)
        words = f"{len(components):,} components: {explained[-1]:.0f} %"
        total.annotate(words, end, (0, 5), textcoords="offset points", ha="right", color=BLUE)
    total.set_ylim(0, 100)
    total.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    total.set_xlabel("number of components")
    total.set_ylabel("variance explained by all of them (%)")
    first = components.head(NAMED_COMPONENTS)
    each.barh(range(len(first)), first["percent"], height=0.35, color=BLUE)
    for row, tags in enumerate(first["tags"]):
        each.text(0, row - 0.24, "  ".join(shortened(tag, 23) for tag in tags), fontsize=SMALL, va="bottom")
    list_names(each, [str(component) for component in first["component"]])
    each.set_ylim(max(1, len(first)) - 0.6, -0.95)
    each.set_xlabel("variance explained by each (%)")
    each.set_ylabel("component, and its strongest tags")
    return figure


@rc_context(STYLE)
def tag_effects(effects: pl.DataFrame) -> Figure:
    """The tags that move a score the most: fifteen up, and below them fifteen down, with their intervals.

    Args:
        effects: tag; effect, in points of score; low and high, its 95 % interval, null where there is none.
            All tags: the strongest are picked here.
    """
    up = strongest(effects, "effect", EFFECTS_EACH_WAY)
    down = strongest(effects, "effect", EFFECTS_EACH_WAY, sign=-1).reverse()
    figure, axes = new_figure(height=0.75 + ROW * max(2, len(up) + len(down)))
    rows = np.arange(len(up) + len(down))
    for drawn, row, color in ((up, rows[: len(up)], BLUE), (down, rows[len(up) :], ORANGE)):
        low, high = (drawn[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
        axes.hlines(row, low, high, color=color, linewidth=1)
        axes.plot(drawn["effect"].to_numpy(), row, "o", color=color, markersize=3.5)
    axes.axvline(0, color="black", linestyle="--", linewidth=0.8)
    list_names(axes, [shortened(tag) for tag in [*up["tag"], *down["tag"]]])
    axes.grid(axis="y", color="0.93", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("effect on the score (points)\nand 95 % interval (all tags together)")
    return figure


@rc_context(STYLE)
def tag_pairs(pairs: pl.DataFrame) -> Figure:
    """The twenty pairs of tags that say the most of each other, with the number of posts that have both.

    Args:
        pairs: tag, other; phi, their correlation, -1 to 1; n_both, posts. All pairs: the strongest are picked here.
    """
    drawn = strongest(pairs, "phi", PAIRS, sign=0)
    figure, axes = new_figure(width=PAGE, height=0.55 + ROW * max(2, len(drawn)))
    colors = [BLUE if phi > 0 else ORANGE for phi in drawn["phi"]]
    axes.barh(range(len(drawn)), drawn["phi"], height=0.7, color=colors)
    for row, (phi, n_both) in enumerate(drawn.select("phi", "n_both").iter_rows()):
        axes.annotate(
            f"{n_both:,}",
            (max(0, phi), row),
            (3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL,
            color=GREY,
        )
    list_names(axes, [f"{shortened(tag)} + {shortened(other)}" for tag, other in drawn.select("tag", "other").rows()])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlim(1.05 * min([0, *drawn["phi"]]), 1.08)
    axes.set_xlabel("correlation (phi), and number of posts with both")
    return figure


@rc_context(STYLE)
def ties(ties: pl.DataFrame, tags: Sequence[str]) -> Figure:
    """For each of some tags, the twelve that come with it the most, and the four that avoid it the most.

    Args:
        ties: tag, and for each of `tags` a column of that name: the correlation (phi) with it, -1 to 1.
        tags: One panel each, two beside each other.
    """
    width, lines = min(2, max(1, len(tags))), -(-len(tags) // 2)
    figure = Figure(figsize=(COLUMN * width, (0.7 + ROW * (TIED + REPELLED)) * max(1, lines)), layout="constrained")
    if not tags:
        return figure
    panels = figure.subplots(lines, width, sharex=True, squeeze=False).flat
    for name, axes in zip(tags, panels, strict=False):  # in this order: a panel too many stays
        others = ties.filter(pl.col("tag") != name)
        drawn = pl.concat([strongest(others, name, TIED), strongest(others, name, REPELLED, sign=-1).reverse()])
        colors = [BLUE if phi > 0 else ORANGE for phi in drawn[name]]
        axes.barh(range(len(drawn)), drawn[name], height=0.7, color=colors)
        axes.axvline(0, color="black", linewidth=0.8)
        list_names(axes, [shortened(tag) for tag in drawn["tag"]])
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"correlation (phi) with {shortened(name)}")
    for axes in panels:
        axes.set_axis_off()
    return figure


def strongest(table: pl.DataFrame, column: str, n: int, *, sign: int = 1) -> pl.DataFrame:
    """The n rows furthest from 0 upwards (sign 1), downwards (-1) or either way (0), the furthest first.

    >>> strongest(pl.DataFrame({"phi": [0.1, -0.9, None, 0.5]}), "phi", 2, sign=0)["phi"].to_list()
    [-0.9, 0.5]
    """
    strength = pl.col(column).cast(pl.Float64)
    strength = strength * sign if sign else strength.abs()
    return table.filter(strength.is_finite(), strength > 0).sort(strength, descending=True, maintain_order=True).head(n)
