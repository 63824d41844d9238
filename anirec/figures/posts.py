"""Pictures of the scores of posts on an image board: whole numbers of votes, most of them 0."""

from itertools import cycle

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from anirec.figures.style import BLUE, GREY, ORANGE, SMALL, STYLE, new_figure

FIRST, LAST = -8, 40  # scores; those beyond are counted at the ends
TICKS = {-8: "≤ \N{MINUS SIGN}8", 0: "0", 8: "8", 16: "16", 24: "24", 32: "32", 40: "≥ 40"}


@rc_context(STYLE)
def score_histogram(counts: pl.DataFrame) -> Figure:
    """How many posts have each score, on a log scale: the first group filled, the others as outlines.

    Args:
        counts: score, a whole number, each once; and a column of numbers of posts (>= 0) for each group,
            its name the group's.
    """
    figure, axes = new_figure(height=2.3)
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
def error_by_band(errors: pl.DataFrame) -> Figure:
    """Mean absolute error of each predictor by band of the true score, with the number of posts under each band.

    Args:
        errors: band, a name, in the order to be drawn; n, its posts; and a column of mean absolute errors
            in points for each predictor, its name the predictor's, null where there is none.
    """
    figure, axes = new_figure(height=2.4)
    predictors = [name for name in errors.columns if name not in ("band", "n")]
    looks = cycle([(BLUE, "o-"), (ORANGE, "s--"), (GREY, "^:"), ("black", "D-.")])
    sideways = np.linspace(-1, 1, len(predictors)) * min(0.18, 0.06 * len(predictors)) if len(predictors) > 1 else [0]
    band = np.arange(len(errors))
    for predictor, shift, (color, style) in zip(predictors, sideways, looks, strict=False):
        error = errors[predictor].cast(pl.Float64).to_numpy()
        axes.plot(band + shift, error, style, color=color, markersize=4, linewidth=0.8, label=predictor)
    name_bands(axes, errors)
    axes.set_ylim(0, 1.08 * axes.dataLim.ymax if np.isfinite(axes.dataLim.ymax) and axes.dataLim.ymax > 0 else 1)
    axes.set_xlabel("true score (points), and number of posts")
    axes.set_ylabel("mean absolute error (points)")
    if predictors:
        figure.legend(loc="outside upper center", ncols=min(4, len(predictors)))
    return figure


def name_bands(axes: Axes, errors: pl.DataFrame) -> None:
    names = [f"{band}\n{n:,}" for band, n in errors.select("band", "n").iter_rows()]
    axes.set_xticks(range(len(names)), names, fontsize=SMALL)
    axes.set_xlim(-0.5, max(1, len(names)) - 0.5)
