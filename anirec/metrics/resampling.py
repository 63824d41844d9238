"""Bootstrap intervals and paired tests over users, other units or rows; Holm's correction; rank-biserial correlation.

Units are drawn with replacement. A metric that is a function of sums does not need the rows again: each resample is a
vector of draw counts times the table of per-unit sums.
Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).

>>> errors = np.random.default_rng(1).normal(size=(2000, 1))
>>> statistics = np.hstack([np.ones_like(errors), errors**2])       # per unit: number of rows, squared error
>>> n_b, squares_b = resampled_sums(statistics, seed=1).T
>>> low, high = percentile_interval((squares_b / n_b) ** 0.5)
>>> bool(0.95 < low < 1.0 < high < 1.05)
True
"""

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.definition import FloatColumn, OrderMetric
from anirec.metrics.variation import to_float64

RESAMPLES = 1000
FEWEST_UNITS = 6  # with five units even the exact sign test cannot reach p < 5% (2 / 2**5 = 6%)
FEWEST_ROWS = 30  # test rows, or ranked lists; fewer are too few for intervals, tests or conclusions
MAX_UNITS = 10_000
DRAWS_AT_ONCE = 1 << 19
ROWS_AT_ONCE = 1 << 21


def resampled_sums(
    statistics_us: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0, max_units: int = MAX_UNITS
) -> NDArray[np.float64]:
    """Return the sums of each statistic in every resample of the units, float64 (resamples, s).

    Args:
        statistics_us: Statistics of each unit, (U, s).
        resamples: Number of resamples.
        seed: Equal seeds draw the same units, so that two models on the same units can be compared in pairs.
        max_units: If there are more units, they are first assigned at random to this many bags, and bags are drawn
            instead. The variance is the same on average; the relative error of the interval's width is about
            1 / sqrt(2 bags).
    """
    if len(statistics_us) > max_units:
        statistics_us = sum_by_bag(statistics_us, assign_to_bags(len(statistics_us), max_units, seed))
    counts_bu = draw_counts(len(statistics_us), resamples, seed)
    step = max(1, DRAWS_AT_ONCE // max(1, len(statistics_us)))
    blocks = [counts_bu[start : start + step].astype(np.float64) for start in range(0, resamples, step)]
    return np.concatenate([block @ statistics_us for block in blocks])


def resampled_order(
    metric: OrderMetric,
    prediction: FloatColumn,
    target: FloatColumn,
    *,
    unit: NDArray[np.int64],
    n_units: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
    max_units: int = MAX_UNITS,
) -> NDArray[np.float64]:
    """Return the metric in every resample, float64 (resamples,); the resamples are those of `resampled_sums`.

    Args:
        metric: A metric that cannot be computed from sums; every resample uses all rows.
        prediction: Predictions, (n,).
        target: True values, (n,).
        unit: Index of the unit of each row, (n,), from 0 to n_units - 1.
        n_units: Number of units.
        resamples: Number of resamples.
        seed: Equal seeds draw the same units.
        max_units: If there are more units, bags of units are drawn instead.
    """
    if n_units > max_units:
        unit, n_units = assign_to_bags(n_units, max_units, seed)[unit], max_units
    counts_bu = draw_counts(n_units, resamples, seed)
    prediction, target = to_float64(prediction), to_float64(target)
    step = max(1, ROWS_AT_ONCE // len(unit))
    blocks = [counts_bu[start : start + step, unit] for start in range(0, resamples, step)]
    return np.concatenate([metric.resampled(prediction, target, block) for block in blocks])


def percentile_interval(values_b: NDArray[np.float64], *, level: float = 0.95) -> tuple[float, float]:
    """Return the central interval that holds the share `level` of the values; NaN if any value is NaN."""
    low, high = np.quantile(values_b, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=2)
def draw_counts(n_units: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """Return how often each unit is drawn, (resamples, n_units); cached because compared runs share their users."""
    random = np.random.default_rng(seed)
    counts_bu = np.empty((resamples, n_units), dtype=np.uint16)
    step = max(1, DRAWS_AT_ONCE // n_units)
    for start in range(0, resamples, step):
        n = min(step, resamples - start)
        # Each resample counts its draws in its own section of one long histogram.
        drawn_bu = random.integers(n_units, size=(n, n_units)) + np.arange(n)[:, None] * n_units
        counts_bu[start : start + n] = np.bincount(drawn_bu.ravel(), minlength=n * n_units).reshape(n, n_units)
    return counts_bu


def assign_to_bags(n_units: int, n_bags: int, seed: int) -> NDArray[np.int64]:
    """Assign units at random to bags of nearly equal size; return the bag of each unit, (n_units,)."""
    return np.random.default_rng(seed).permutation(n_units) % n_bags


def sum_by_bag(statistics_us: NDArray[np.float64], bag_u: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the units' statistics over bags, (n_bags, s)."""
    return np.stack([np.bincount(bag_u, weights=column) for column in statistics_us.T], axis=1)


LEVEL = 0.05


def p_value(difference: float, resampled_b: NDArray[np.float64]) -> float:
    """Compute the two-sided bootstrap p-value, in (0, 1]; never 0 because the sample itself counts as one resample.

    Args:
        difference: Difference between the two models' metrics on all units.
        resampled_b: The same difference in every resample, (B,).

    >>> p_value(3.0, np.array([3.5, 2.0, 6.0])), p_value(0.0, np.zeros(3))
    (0.5, 1.0)
    """
    n_as_far = int(np.count_nonzero(np.abs(resampled_b - difference) >= abs(difference)))
    return (1 + n_as_far) / (1 + len(resampled_b))


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct the p-values of m tests, (m,), for multiple testing; controls the family-wise error rate (Holm, 1979).

    The smallest p-value is multiplied by m, the next by m - 1 and so on; corrected values never decrease along this
    order and never exceed 1.
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return corrected


def rank_biserial(gain_u: NDArray[np.float64]) -> float:
    """Compute the matched-pairs rank-biserial correlation, from -1 to 1.

    1 if every unit gains, 0 if gains and losses balance.
    Units with gain 0 are left out; the others are ranked by absolute gain. The result is the rank sum of the gains
    minus that of the losses, divided by the sum of both; the smaller of the two rank sums is Wilcoxon's T. Kerby, The
    Simple Difference Formula, Comprehensive Psychology 2014.

    >>> rank_biserial(np.array([3.0, 2.0, 0.0, -1.0]))   # ranks 3 and 2 against 1
    0.6666666666666666
    """
    moved = gain_u[gain_u != 0]
    rank = pl.Series(np.abs(moved)).rank("average").to_numpy()
    return float((rank * np.sign(moved)).sum() / rank.sum()) if len(moved) else 0.0
