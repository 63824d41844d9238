"""Rank correlations, Spearman's rho and Kendall's tau-b: how well predictions order the rows, whatever their scale.

>>> round(spearman([1.0, 2.0, 3.0, 3.0], [1.0, 10.0, 100.0, 50.0]), 4)
0.9487
>>> round(kendall([1.0, 2.0, 3.0, 3.0], [1.0, 10.0, 100.0, 50.0]), 4)
0.9129

Both are undefined (NaN) where predictions or targets do not vary. A resample is given as the number of times each row
was drawn, so that rows are sorted only once: drawing a row several times does not change the order.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.definition import FloatColumn, OrderMetric
from anirec.metrics.variation import ratio

ResampleCounts = NDArray[np.integer]
PerResample = NDArray[np.float64]
MAX_PAIRED_ROWS = 5_000
COLUMNS_AT_ONCE = 1024


def spearman_of_rows(prediction: FloatColumn, target: FloatColumn) -> float:
    """Compute Spearman's rho: Pearson's r of the ranks, where ties share their mean rank."""
    from scipy.stats import spearmanr

    return correlation_of(spearmanr, prediction, target)


def kendall_of_rows(prediction: FloatColumn, target: FloatColumn) -> float:
    """Compute tau-b: concordant minus discordant pairs, divided by the number of pairs without ties."""
    from scipy.stats import kendalltau

    return correlation_of(kendalltau, prediction, target)


def correlation_of(function: object, prediction: FloatColumn, target: FloatColumn) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input: the result is NaN
        return float(function(prediction, target).statistic) if len(target) > 1 else float("nan")  # type: ignore[operator]


def spearman_of_resamples(prediction: FloatColumn, target: FloatColumn, counts_bn: ResampleCounts) -> PerResample:
    """Compute rho of each resample, (B,); counts_bn (B, n) is how often each row was drawn."""
    middle_b = (counts_bn.sum(axis=1, keepdims=True) + 1) / 2
    p_bn, t_bn = (ranks(column, counts_bn) - middle_b for column in (prediction, target))
    product_b, p_b, t_b = (
        np.einsum("bn,bn,bn->b", counts_bn, x, y) for x, y in ((p_bn, t_bn), (p_bn, p_bn), (t_bn, t_bn))
    )
    return ratio(product_b, np.sqrt(p_b * t_b))


def ranks(values: FloatColumn, counts_bn: ResampleCounts) -> NDArray[np.float64]:
    """Return the mean rank, from 1, of each row in each resample, (B, n); rows may count several times or not at all.

    >>> ranks(np.array([7.0, 5.0, 7.0]), np.array([[1, 1, 1], [2, 3, 0]]))
    array([[2.5, 1. , 2.5],
           [4.5, 2. , 4.5]])
    """
    totals_bg, group = count_by_value(values, counts_bn)
    return (np.cumsum(totals_bg, axis=1) - (totals_bg - 1) / 2)[:, group]


def count_by_value(values: FloatColumn, counts_bn: ResampleCounts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the draws of each distinct value, int64 (B, G), lowest first, and the value index of each row, (n,)."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    order, first = np.argsort(group, kind="stable"), np.cumsum(size) - size
    return np.add.reduceat(counts_bn[:, order], first, axis=1, dtype=np.int64), group


def kendall_of_resamples(prediction: FloatColumn, target: FloatColumn, counts_bn: ResampleCounts) -> PerResample:
    """Compute tau-b of each resample, (B,); counts_bn (B, n) is how often each row was drawn. Takes O(B n²) time.

    Returns NaN for more than `MAX_PAIRED_ROWS` rows, where it would take minutes.
    """
    n_rows = len(target)
    if n_rows > MAX_PAIRED_ROWS:
        return np.full(len(counts_bn), np.nan)
    p_n, t_n = (np.unique(column, return_inverse=True)[1].astype(np.float32) for column in (prediction, target))
    weight_bn = counts_bn.astype(np.float32)  # sums of ±1 stay whole, and so exact, up to 16 million
    surplus_b = np.zeros(len(counts_bn))
    for start in range(0, n_rows, COLUMNS_AT_ONCE):
        some = slice(start, start + COLUMNS_AT_ONCE)
        sign_nm = np.sign(p_n[:, None] - p_n[some]) * np.sign(t_n[:, None] - t_n[some])
        surplus_bm = weight_bn @ sign_nm
        surplus_b += np.einsum("bm,bm->b", surplus_bm, weight_bn[:, some], dtype=np.float64) / 2
    pairs_b = n_pairs(counts_bn.sum(axis=1, dtype=np.int64))
    untied = [pairs_b - n_pairs(count_by_value(column, counts_bn)[0]).sum(axis=1) for column in (prediction, target)]
    return ratio(surplus_b, np.sqrt(untied[0] * untied[1]))


def n_pairs(n: NDArray[np.int64]) -> NDArray[np.float64]:
    return n * (n - 1) / 2


spearman = OrderMetric("spearman", better="higher", value=spearman_of_rows, resampled=spearman_of_resamples)

kendall = OrderMetric("kendall", better="higher", value=kendall_of_rows, resampled=kendall_of_resamples)
