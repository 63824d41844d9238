"""Pictures of how well scores are predicted."""

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anirec.evaluation.bands import Bands
from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, SMALL, STYLE, new_figure

WHISKERS = (5, 95)


@rc_context(STYLE)
def learning_curves(curves: pl.DataFrame, constant: float | None) -> Figure:
    """Training and validation error by epoch.

    Args:
        curves: epoch (from 0), train, val: mean squared errors on the unit scale, null where not measured.
        constant: Validation error of predicting the training mean; drawn as the line to beat.
    """
    figure, axes = new_figure(height=2.4)
    lines = {"training": ("train", BLUE, "s--"), "validation": ("val", ORANGE, "o-")}
    for label, (name, color, style) in lines.items():
        if len(measured := curves.drop_nulls(name)):
            axes.plot(measured["epoch"] + 1, measured[name], style, color=color, markersize=3.5, label=label)
    if constant is not None:
        axes.axhline(constant, color=GREY, linestyle=":", label="predicting the mean")
    if len(measured):
        best = measured.row(int(measured["val"].arg_min() or 0), named=True)
        axes.plot(best["epoch"] + 1, best["val"], "o", markersize=9, fillstyle="none", color="black", label="lowest")
    axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error\n(scores scaled to 0-1)")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@rc_context(STYLE)
def predicted_vs_true(predictions: pl.DataFrame) -> Figure:
    """Every title as a point.

    Args:
        predictions: target and prediction in points; low and high, its interval, if there are any.
    """
    figure, axes = new_figure(height=COLUMN)
    target, prediction = (predictions[name].to_numpy() for name in ("target", "prediction"))
    both = np.concatenate([target, prediction])
    ends = [np.floor(both.min()), np.floor(both.max()) + 1]
    if "low" in predictions.columns and predictions["low"].count():
        low, high = (predictions[name].to_numpy() for name in ("low", "high"))
        half = np.nanmax([high - prediction, prediction - low])  # some are cut at an end of the scale
        axes.fill_between(
            ends, np.subtract(ends, half), np.add(ends, half), color="0.9", lw=0, label="interval holds truth"
        )
    axes.plot(ends, ends, "--", color="black", linewidth=0.8, label="predicted = true")
    opacity = float(np.clip(300 / max(1, len(target)), 0.1, 0.8))
    axes.scatter(target, prediction, s=5, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("true score (points)")
    axes.set_ylabel("predicted score (points)")
    axes.legend(loc="upper left")
    return figure


@rc_context(STYLE)
def residuals(predictions: pl.DataFrame, bands: Bands) -> Figure:
    """Errors by band of the true score: boxes of the middle half with the median, whiskers from 5 to 95 %.

    Args:
        predictions: target and prediction in points.
        bands: Of true scores; without edges all titles are in one.
    """
    figure, axes = new_figure(height=2.4)
    target = predictions["target"].to_numpy()
    error = predictions["prediction"].to_numpy() - target
    boxes = {spoken(name): error[mask] for name, mask in bands.masks(target)} or {"all": error}
    axes.axhline(0, color="black", linestyle="--", linewidth=0.8)
    axes.boxplot(
        list(boxes.values()),
        tick_labels=[f"{name}\n{len(errors):,}" for name, errors in boxes.items()],
        whis=WHISKERS,
        showfliers=False,
        widths=0.6,
        patch_artist=True,
        boxprops={"facecolor": "#9ecae1", "edgecolor": BLUE},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
        medianprops={"color": "black", "linewidth": 1.5},
    )
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_xlabel("true score (points), and how many have it")
    axes.set_ylabel("predicted less true score\n(points)")
    return figure


def spoken(band: str) -> str:
    """
    >>> spoken("score_below_5"), spoken("score_6_7.5"), spoken("score_from_8")
    ('below 5', '6 to 7.5', 'from 8')
    """
    first, last = band.split("_")[1:]
    return f"{first} {last}" if first in ("below", "from") else f"{first} to {last}"
