"""Figures of rating runs: error by activity, predicted against true ratings, and popularity of recommended titles."""

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anirec.evaluation.figures import quantile_groups
from anirec.evaluation.rating_results import MEANS, RankedLists, RatingResults
from anirec.figures.style import BLUE, COLUMN, GREY, ORANGE, PAGE, SMALL, STYLE, new_figure
from anirec.metrics.rating import r2

GROUPS = 6  # of equally many test ratings
CELLS = 24  # bins of predicted ratings
EQUAL = 1e-3  # points between the lowest and the highest of predictions that count as equal
NORMAL_95 = 1.96


def draw_results(results: RatingResults) -> dict[str, Figure]:
    """Draw all figures of a rating run, by file name."""
    drawn = {}
    if results.rows.are_rated:
        drawn = {"error_by_count": draw_error_by_count(results), "predicted_vs_true": draw_predicted_vs_true(results)}
    return drawn | ({"list_popularity": draw_list_popularity(results.lists)} if results.lists else {})


@rc_context(STYLE)
def draw_error_by_count(results: RatingResults) -> Figure:
    """Draw the RMSE of model and dummy by the number of training ratings of the user and of the title."""
    figure = Figure(figsize=(PAGE, 2.8), layout="constrained")
    figure.suptitle("Error by number of training ratings, test set")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (noun, count) in zip(panels, results.counts.items(), strict=True):
        groups = quantile_groups(count, GROUPS)
        for shift, name, prediction, color, mark in (
            (-0.1, "model", results.rows.prediction, BLUE, "o"),
            (0.1, MEANS, results.dummy, ORANGE, "s"),
        ):
            squares = (prediction.astype(np.float64) - results.rows.target) ** 2
            draw_errors(axes, [squares[mask] for _, _, mask in groups], shift, label=name, color=color, fmt=mark)
        ranges = [f"{low:,.0f}" if low == high else f"{low:,.0f}-{high:,.0f}" for low, high, _ in groups]
        labels = [f"{counts}\n{mask.sum():,}" for counts, (_, _, mask) in zip(ranges, groups, strict=True)]
        axes.set_xticks(range(len(labels)), labels, fontsize=SMALL)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.set_xlabel(f"training ratings of the {noun.removesuffix('s')}, and number of test ratings")
    panels[0].set_ylabel("RMSE (points), 95% interval")
    panels[0].legend()
    return figure


def draw_errors(axes: Axes, squares: list[NDArray[np.float64]], shift: float, **look: Any) -> None:
    """Draw the root of the mean of each group of squared errors, with the interval of a normal mean."""
    means = np.array([group.mean() for group in squares])
    half = np.array([NORMAL_95 * group.std() / len(group) ** 0.5 for group in squares])
    ends = np.abs(np.sqrt(np.maximum(0, [means - half, means + half])) - np.sqrt(means))
    axes.errorbar(np.arange(len(means)) + shift, np.sqrt(means), ends, markersize=3.5, linewidth=1, **look)


@rc_context(STYLE)
def draw_predicted_vs_true(results: RatingResults) -> Figure:
    """Draw the number of test ratings by predicted and true rating, and the mean true rating of each prediction."""
    prediction, target = results.rows.prediction.astype(np.float64), results.rows.target
    fit = r2(prediction, target)
    title = f"Predicted and true ratings, test set{f', R² = {fit:.2f}' if np.isfinite(fit) else ''}"
    figure, axes = new_figure(height=COLUMN, title=title)
    margin = 1e-6 if np.ptp(prediction) > EQUAL else 0.5
    columns = np.linspace(prediction.min() - margin, prediction.max() + margin, CELLS + 1)
    values = np.unique(target)
    step = max(float(np.diff(values).min(initial=np.inf)), np.ptp(values) / CELLS) if len(values) > 1 else 1.0
    rows = np.arange(values[0] - step / 2, values[-1] + step, step)
    image = axes.hist2d(prediction, target, bins=[columns, rows], norm=LogNorm(), cmap="Blues", rasterized=True)[3]
    figure.colorbar(image, label="number of ratings", ax=axes)
    ends = columns[0], columns[-1]
    axes.plot(ends, ends, "--", color="black", linewidth=0.8, label="predicted = true")
    column = np.digitize(prediction, columns[1:-1])
    n, total = (np.bincount(column, weights=weights, minlength=CELLS) for weights in (None, target))
    often = n >= max(5, len(target) / 1000)
    centres = (columns[:-1] + columns[1:]) / 2
    axes.plot(
        centres[often], (total / np.maximum(n, 1))[often], "o", color=ORANGE, markersize=3, label="mean true rating"
    )
    axes.set_xlim(*ends)
    axes.set_ylim(rows[0], rows[-1])
    axes.set_xlabel("predicted rating (points)")
    axes.set_ylabel("true rating (points)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(STYLE)
def draw_list_popularity(lists: RankedLists) -> Figure:
    """Draw the share of the recommendations that go to the most popular titles, and their share of training ratings."""
    figure, axes = new_figure(height=2.8, title="Recommendations by popularity of the title")
    order = np.argsort(-lists.count_c, kind="stable")
    share = 100 * np.arange(1, len(order) + 1) / len(order)
    for label, times, color, style in (
        ("model", lists.times_recommended(lists.ours), BLUE, "-"),
        (lists.dummy, lists.times_recommended(lists.theirs), ORANGE, "--"),
        ("training ratings", lists.count_c, GREY, ":"),
    ):
        if total := times.sum():
            axes.plot(share, 100 * np.cumsum(times[order]) / total, style, color=color, label=label)
    axes.set_xscale("log")
    axes.set(ylim=(0, 102))
    if len(share) > 1:
        axes.set_xlim(share[0], 100)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("most popular titles (% of the titles, log scale)")
    axes.set_ylabel("recommendations (%)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
