"""Bootstrap intervals: how much would a metric move, had we met other users?

Users (or other units, or rows) are drawn with replacement. A metric that is a function of sums over them needs no
second look at the rows: every resample is one row of draw counts times the table of per-user sums.
Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).

>>> errors = np.random.default_rng(1).normal(size=(2000, 1))
>>> statistics = np.hstack([np.ones_like(errors), errors**2])       # per unit: one row, its squared error
>>> n_b, squares_b = resampled_sums(statistics, seed=1).T
>>> low, high = percentile_interval((squares_b / n_b) ** 0.5)
>>> bool(0.95 < low < 1.0 < high < 1.05)
True
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.definition import Column, OrderMetric
from anirec.metrics.variation import settled

RESAMPLES = 1000
FEWEST_UNITS = 6  # fewer say nothing of others: of five, even the exact test by signs never gets below 5 % (2 / 2**5)
MAX_UNITS = 10_000
DRAWS_AT_ONCE = 1 << 19
ROWS_AT_ONCE = 1 << 21


def resampled_sums(
    statistics_us: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0, max_units: int = MAX_UNITS
) -> NDArray[np.float64]:
    """Sums of each statistic in every resample of the units, float64 (resamples, s).

    Args:
        statistics_us: What is summed, one row a unit, (U, s).
        resamples: Number of resamples.
        seed: Equal seeds draw equal units: metrics of two models on the same units may be compared pair by pair.
        max_units: More units than this are first thrown into that many bags at random, which are then drawn instead.
            Bags of exchangeable users vary as users do; only the width's own error, about 1 / sqrt(2 bags), remains.
    """
    if len(statistics_us) > max_units:
        statistics_us = bagged(statistics_us, bags(len(statistics_us), max_units, seed))
    counts_bu = draw_counts(len(statistics_us), resamples, seed)
    step = max(1, DRAWS_AT_ONCE // max(1, len(statistics_us)))
    blocks = [counts_bu[start : start + step].astype(np.float64) for start in range(0, resamples, step)]
    return np.concatenate([block @ statistics_us for block in blocks])


def resampled_order(
    metric: OrderMetric,
    prediction: Column,
    target: Column,
    *,
    unit: NDArray[np.int64],
    n_units: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
    max_units: int = MAX_UNITS,
) -> NDArray[np.float64]:
    """The metric in every resample of the units, float64 (resamples,): the same ones as `resampled_sums` draws.

    Args:
        metric: No function of sums, so that it looks at all rows in each resample.
        prediction: Of every row, (n,).
        target: Likewise.
        unit: Which unit each row belongs to, (n,), from 0 to n_units - 1.
    """
    if n_units > max_units:
        unit, n_units = bags(n_units, max_units, seed)[unit], max_units
    counts_bu = draw_counts(n_units, resamples, seed)
    prediction, target = settled(prediction), settled(target)
    step = max(1, ROWS_AT_ONCE // len(unit))
    blocks = [counts_bu[start : start + step, unit] for start in range(0, resamples, step)]
    return np.concatenate([metric.resampled(prediction, target, block) for block in blocks])


def percentile_interval(values_b: NDArray[np.float64], *, level: float = 0.95) -> tuple[float, float]:
    """The central `level` of the resampled values; NaN where any of them is."""
    low, high = np.quantile(values_b, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=2)
def draw_counts(n_units: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """(resamples, n_units): how often each unit is drawn. Kept, as the runs of a comparison share their users."""
    random = np.random.default_rng(seed)
    counts_bu = np.empty((resamples, n_units), dtype=np.uint16)
    step = max(1, DRAWS_AT_ONCE // n_units)
    for start in range(0, resamples, step):
        n = min(step, resamples - start)
        # Resample b counts its draws in its own stretch of one long histogram.
        drawn_bu = random.integers(n_units, size=(n, n_units)) + np.arange(n)[:, None] * n_units
        counts_bu[start : start + n] = np.bincount(drawn_bu.ravel(), minlength=n * n_units).reshape(n, n_units)
    return counts_bu


def bags(n_units: int, n_bags: int, seed: int) -> NDArray[np.int64]:
    """(n_units,): which bag each unit is thrown into; all of nearly equal size."""
    return np.random.default_rng(seed).permutation(n_units) % n_bags


def bagged(statistics_us: NDArray[np.float64], bag_u: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_bags, s): the units' statistics summed over bags."""
    return np.stack([np.bincount(bag_u, weights=column) for column in statistics_us.T], axis=1)
