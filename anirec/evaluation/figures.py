"""Figures of predicted scores: learning curves, predicted against true scores, and residuals."""

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anirec.evaluation.segments import Bands
from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, SMALL, STYLE, new_figure

WHISKERS = (5, 95)


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
    """Draw every title as a point, with the prediction interval as a band around the diagonal.

    Args:
        predictions: target and prediction in points; optionally low and high, the ends of its interval.
        level: Promised coverage of the intervals, such as 0.9; None if there are none.
    """
    figure, axes = new_figure(height=COLUMN, title="Predicted against true scores, test set")
    target, prediction = (predictions[name].to_numpy() for name in ("target", "prediction"))
    both = np.concatenate([target, prediction])
    ends = [np.floor(both.min()), np.floor(both.max()) + 1]
    if level is not None and "low" in predictions.columns and predictions["low"].count():
        low, high = (predictions[name].to_numpy() for name in ("low", "high"))
        half = np.nanmax([high - prediction, prediction - low])  # the widest: some are clipped at an end of the scale
        axes.fill_between(
            ends,
            np.subtract(ends, half),
            np.add(ends, half),
            color="0.9",
            lw=0,
            label=f"true score inside the {100 * level:g} % interval (±{half:.2f})",
        )
    axes.plot(ends, ends, "--", color="black", linewidth=0.8, label="predicted = true")
    opacity = float(np.clip(300 / max(1, len(target)), 0.1, 0.8))
    axes.scatter(target, prediction, s=5, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("true score (points)")
    axes.set_ylabel("predicted score (points)")
    axes.legend(loc="upper left", fontsize=SMALL)
    return figure


@rc_context(STYLE)
def draw_residuals(predictions: pl.DataFrame, bands: Bands) -> Figure:
    """Draw box plots of the errors by band of the true score.

    A box shows the quartiles and the median; whiskers reach from the 5th to the 95th percentile.

    Args:
        predictions: target and prediction in points.
        bands: Bands of true scores; without edges all titles are in one box.
    """
    figure, axes = new_figure(height=2.6, title="Errors by true score, test set")
    target = predictions["target"].to_numpy()
    error = predictions["prediction"].to_numpy() - target
    boxes = {band_label(name): error[mask] for name, mask in bands.masks(target)} or {"all": error}
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
    axes.set_xlabel("true score (points), and number of rows")
    axes.set_ylabel("predicted \N{MINUS SIGN} true\n(points)")
    return figure


def band_label(band: str) -> str:
    """Return the label of a band on an axis.

    >>> band_label("score_below_5"), band_label("score_6_7.5"), band_label("score_from_8")
    ('below 5', '6 to 7.5', 'from 8')
    """
    first, last = band.split("_")[1:]
    return f"{first} {last}" if first in ("below", "from") else f"{first} to {last}"
