"""Figures of predicted scores: learning curves, predicted against true scores, and residuals."""

from typing import Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, SMALL, STYLE, new_figure
from anirec.metrics.rating import r2

WHISKERS = (5, 95)
BOXES = 5


@rc_context(STYLE)
def draw_learning_curves(curves: pl.DataFrame, constant: float | None) -> Figure:
    """Draw training and validation error by epoch.

    Args:
        curves: epoch (from 0), train, val: mean squared errors on the unit scale, null where not measured.
        constant: Validation error of always predicting the training mean, drawn as a horizontal line; None to omit it.
    """
    figure, axes = new_figure(height=2.6, title="Learning curves")
    lines = {"training": ("train", BLUE, "s--"), "validation": ("val", ORANGE, "o-")}
    for label, (name, color, style) in lines.items():
        if len(measured := curves.drop_nulls(name)):
            axes.plot(measured["epoch"] + 1, measured[name], style, color=color, markersize=3.5, label=label)
    if constant is not None:
        axes.axhline(constant, color=GREY, linestyle=":", label="predicting the mean")
    if len(measured):
        best = measured.row(int(measured["val"].arg_min() or 0), named=True)
        axes.plot(
            best["epoch"] + 1,
            best["val"],
            "o",
            markersize=9,
            fillstyle="none",
            color="black",
            label="lowest validation error",
        )
    axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error\n(scores scaled to 0-1)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(STYLE)
def draw_predicted_vs_true(predictions: pl.DataFrame, level: float | None) -> Figure:
    """Draw every title as a point, with the prediction intervals as a band, and R² in the title.

    Args:
        predictions: target and prediction in points; optionally low and high, the ends of its interval.
        level: Promised coverage of the intervals, such as 0.9; None if there are none.
    """
    target, prediction = (predictions[name].to_numpy() for name in ("target", "prediction"))
    fit = r2(prediction, target)
    words = f"Predicted and true scores, test set{f', R² = {fit:.2f}' if np.isfinite(fit) else ''}"
    figure, axes = new_figure(height=COLUMN, title=words)
    ends = with_margin(prediction)
    if level is not None and "low" in predictions.columns and predictions["low"].count():
        low, high = (predictions[name].to_numpy() for name in ("low", "high"))
        order = np.argsort(prediction, kind="stable")
        width = float(np.nanmean(high - low, dtype=np.float64))
        label = f"{100 * level:g}% intervals (mean width {width:.2f})"
        axes.fill_between(prediction[order], low[order], high[order], color="0.9", lw=0, label=label)
    axes.plot(ends, ends, "--", color="black", linewidth=0.8, label="predicted = true")
    opacity = float(np.clip(300 / max(1, len(target)), 0.1, 0.8))
    axes.scatter(prediction, target, s=5, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=ends, ylim=with_margin(target))
    axes.set_xlabel("predicted score (points)")
    axes.set_ylabel("true score (points)")
    figure.legend(loc="outside lower center", fontsize=SMALL)
    return figure


def with_margin(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the range of the values, extended by 5% on both sides; equal values get half a point."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


@rc_context(STYLE)
def draw_residuals(predictions: pl.DataFrame) -> Figure:
    """Draw box plots of the errors by predicted score, in groups of about equally many rows.

    A box shows the quartiles and the median; whiskers reach from the 5th to the 95th percentile. Errors by true score
    would show regression to the mean for any model: the rows with the highest true scores are underestimated.

    Args:
        predictions: target and prediction in points.
    """
    figure, axes = new_figure(height=2.6, title="Errors by predicted score, test set")
    prediction = predictions["prediction"].to_numpy()
    error = prediction - predictions["target"].to_numpy()
    groups = quantile_groups(prediction, BOXES)
    labels = [f"{low:.2f}" if low == high else f"{low:.2f}\nto {high:.2f}" for low, high, _ in groups]
    axes.axhline(0, color="black", linestyle="--", linewidth=0.8)
    axes.boxplot(
        [error[mask] for _, _, mask in groups],
        tick_labels=[f"{label}\n{mask.sum():,}" for label, (_, _, mask) in zip(labels, groups, strict=True)],
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
    axes.set_xlabel("predicted score (points), and number of rows")
    axes.set_ylabel("predicted \N{MINUS SIGN} true\n(points)")
    return figure


def quantile_groups(values: NDArray[Any], n: int) -> list[tuple[float, float, NDArray[np.bool_]]]:
    """Divide rows into at most n groups of about equal size by their values; rows with equal values share a group.

    Returns:
        The lowest value, the highest value and the mask (n,) of each group, lowest group first.

    >>> [(low, high, mask.tolist()) for low, high, mask in quantile_groups(np.array([1.0, 1, 5, 1]), 6)]
    [(1.0, 1.0, [True, True, False, True]), (5.0, 5.0, [False, False, True, False])]
    """
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n + 1)[1:], method="inverted_cdf"))
    group = np.searchsorted(edges, values)
    masks = [group == place for place in range(len(edges))]
    return [(float(values[mask].min()), float(values[mask].max()), mask) for mask in masks]


def band_label(band: str) -> str:
    """Return the label of a band on an axis.

    >>> band_label("score_below_5"), band_label("score_6_7.5"), band_label("score_from_8")
    ('below 5', '6 to 7.5', 'from 8')
    """
    first, last = band.split("_")[1:]
    return f"{first} {last}" if first in ("below", "from") else f"{first} to {last}"
