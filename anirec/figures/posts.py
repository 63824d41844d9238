"""Figures of posts on an image board: score histograms, errors by band, and effects and correlations of tags."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, PAGE, ROW, SMALL, STYLE, list_names, new_figure, shortened

FIRST, LAST = -8, 40  # scores beyond these limits are counted at the ends
TICKS = {-8: "≤ \N{MINUS SIGN}8", 0: "0", 8: "8", 16: "16", 24: "24", 32: "32", 40: "≥ 40"}


@rc_context(STYLE)
def draw_score_histogram(counts: pl.DataFrame) -> Figure:
    """Draw the number of posts with each score on a log scale: the first group filled, the others as outlines.

    Args:
        counts: score, whole numbers without repetition; and one column of numbers of posts (>= 0) per group, named
            after the group.
    """
    figure, axes = new_figure(height=2.5, title="Scores of posts")
    groups = [name for name in counts.columns if name != "score"]
    every = pl.DataFrame({"score": range(FIRST, LAST + 1)}, schema={"score": pl.Int64})
    ends = counts.with_columns(pl.col("score").cast(pl.Int64).clip(FIRST, LAST)).group_by("score").sum()
    bins = every.join(ends, on="score", how="left", maintain_order="left").fill_null(0)
    edges = np.arange(FIRST, LAST + 2) - 0.5
    for group, color in zip(groups, cycle([ORANGE, "black", GREY]), strict=False):
        look = {"fill": True, "color": BLUE, "alpha": 0.5} if group == groups[0] else {"edgecolor": color}
        axes.stairs(bins[group].to_numpy(), edges, baseline=0.5, label=group, **look)
    most = max((max(bins[group]) for group in groups), default=1)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(0.5, 3 * max(10, most))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    axes.xaxis.set_minor_locator(MultipleLocator(1))
    axes.tick_params(axis="x", which="minor", length=1.5)
    axes.set_xlabel("score (points)")
    axes.set_ylabel("number of posts")
    if groups:
        axes.legend(loc="upper right")
    return figure


@rc_context(STYLE)
def draw_error_by_band(errors: pl.DataFrame) -> Figure:
    """Draw the mean absolute error of each predictor by band of the true score, with the number of posts in each band.

    Args:
        errors: band, a name, in display order; n, its number of posts; and one column of mean absolute errors in points
            per predictor, named after the predictor, null where there is none.
    """
    figure, axes = new_figure(height=2.6, title="Error by true score, test set")
    predictors = [name for name in errors.columns if name not in ("band", "n")]
    looks = cycle([(BLUE, "o"), (ORANGE, "s"), (GREY, "^"), ("black", "D")])
    sideways = np.linspace(-1, 1, len(predictors)) * min(0.18, 0.06 * len(predictors)) if len(predictors) > 1 else [0]
    band = np.arange(len(errors))
    for predictor, shift, (color, style) in zip(predictors, sideways, looks, strict=False):
        error = errors[predictor].cast(pl.Float64).to_numpy()
        axes.plot(band + shift, error, style, color=color, markersize=4, clip_on=False, label=predictor)
    name_bands(axes, errors)
    axes.set_ylim(0, 1.08 * axes.dataLim.ymax if np.isfinite(axes.dataLim.ymax) and axes.dataLim.ymax > 0 else 1)
    axes.set_xlabel("true score (points), and number of posts")
    axes.set_ylabel("mean absolute error (points)")
    if predictors:
        figure.legend(loc="outside lower center", ncols=min(4, len(predictors)))
    return figure


def name_bands(axes: Axes, errors: pl.DataFrame) -> None:
    names = [f"{band}\n{n:,}" for band, n in errors.select("band", "n").iter_rows()]
    axes.set_xticks(range(len(names)), names, fontsize=SMALL)
    axes.set_xlim(-0.5, max(1, len(names)) - 0.5)


NAMED_COMPONENTS = 10
EFFECTS_EACH_WAY = 15
PAIRS = 20
TIED, REPELLED = 12, 4


@rc_context(STYLE)
def draw_explained_variance(components: pl.DataFrame) -> Figure:
    """Draw the cumulative variance of the tags explained by the components, and the strongest tags of the first ten.

    Args:
        components: component, from 1; share of the total variance, 0 to 1, decreasing; tags, the names of the three
            strongest tags, each preceded by its sign.
    """
    components = components.sort("component").with_columns(percent=100 * pl.col("share").cast(pl.Float64))
    explained = components["percent"].cum_sum()
    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    figure.suptitle("Principal components of the tags")
    total, each = figure.subplots(1, 2, width_ratios=[1, 1.4])
    total.plot(components["component"], explained, color=BLUE)
    if len(components):
        end = (components["component"][-1], explained[-1])
        total.plot(*end, "o", color=BLUE, markersize=3.5)
        words = f"{len(components):,} components: {explained[-1]:.0f}%"
        total.annotate(words, end, (0, 5), textcoords="offset points", ha="right", color=BLUE)
    total.set_ylim(0, 100)
    total.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    total.set_xlabel("number of components")
    total.set_ylabel("cumulative explained variance (%)")
    first = components.head(NAMED_COMPONENTS)
    each.barh(range(len(first)), first["percent"], height=0.35, color=BLUE)
    for row, tags in enumerate(first["tags"]):
        each.text(0, row - 0.24, "  ".join(shortened(tag, 23) for tag in tags), fontsize=SMALL, va="bottom")
    list_names(each, [str(component) for component in first["component"]])
    each.set_ylim(max(1, len(first)) - 0.6, -0.95)
    each.set_xlabel("explained variance (%)")
    each.set_ylabel("component and its strongest tags")
    return figure


@rc_context(STYLE)
def draw_tag_effects(effects: pl.DataFrame) -> Figure:
    """Draw the tags with the largest effects on the score: fifteen positive, and below them fifteen negative ones.

    Args:
        effects: tag; effect, in points of score; low and high, its 95% interval, null where there is none. May contain
            all tags; the strongest are selected here.
    """
    up = strongest(effects, "effect", EFFECTS_EACH_WAY)
    down = strongest(effects, "effect", EFFECTS_EACH_WAY, sign=-1).reverse()
    height = 1.1 + ROW * max(2, len(up) + len(down))
    figure, axes = new_figure(width=1.3 * COLUMN, height=height, title="Tags with the largest effects")
    rows = np.arange(len(up) + len(down))
    for drawn, row, color in ((up, rows[: len(up)], BLUE), (down, rows[len(up) :], ORANGE)):
        low, high = (drawn[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
        axes.hlines(row, low, high, color=color, linewidth=1)
        axes.plot(drawn["effect"].to_numpy(), row, "o", color=color, markersize=3.5)
    axes.axvline(0, color="black", linestyle="--", linewidth=0.8)
    list_names(axes, [shortened(tag) for tag in [*up["tag"], *down["tag"]]])
    axes.grid(axis="y", color="0.93", linewidth=0.6)
    axes.set_axisbelow(True)
    interval = "\nwith 95% interval (simultaneous)" if effects["low"].count() else ""
    axes.set_xlabel(f"effect on the score (points){interval}")
    return figure


@rc_context(STYLE)
def draw_tag_pairs(pairs: pl.DataFrame) -> Figure:
    """Draw the twenty most strongly correlated pairs of tags, with the number of posts that have both.

    Args:
        pairs: tag, other; phi, their correlation, -1 to 1; n_both, posts. May contain all pairs; the strongest are
            selected here.
    """
    drawn = strongest(pairs, "phi", PAIRS, sign=0)
    figure, axes = new_figure(width=PAGE, height=0.8 + ROW * max(2, len(drawn)), title="Most correlated pairs of tags")
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
def draw_tag_ties(ties: pl.DataFrame, tags: Sequence[str]) -> Figure:
    """Draw, for each of some tags, the twelve tags with the highest and the four with the lowest correlation with it.

    Args:
        ties: tag, and for each of `tags` a column of that name with its correlation (phi), -1 to 1.
        tags: One panel each, two side by side.
    """
    width, lines = min(2, max(1, len(tags))), -(-len(tags) // 2)
    figure = Figure(
        figsize=(COLUMN * width, 0.25 + (0.7 + ROW * (TIED + REPELLED)) * max(1, lines)), layout="constrained"
    )
    figure.suptitle("Tags that occur together")
    if not tags:
        return figure
    panels = figure.subplots(lines, width, sharex=True, squeeze=False).flat
    for name, axes in zip(tags, panels, strict=False):  # in this order, zip leaves a surplus panel in the iterator
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
    """Return the n rows furthest above 0 (sign 1), below 0 (-1) or either (0), the furthest first.

    >>> strongest(pl.DataFrame({"phi": [0.1, -0.9, None, 0.5]}), "phi", 2, sign=0)["phi"].to_list()
    [-0.9, 0.5]
    """
    strength = pl.col(column).cast(pl.Float64)
    strength = strength * sign if sign else strength.abs()
    return table.filter(strength.is_finite(), strength > 0).sort(strength, descending=True, maintain_order=True).head(n)
