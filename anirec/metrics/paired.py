"""Paired tests: is one model better than another, or would other users have said otherwise?

Both models are measured on the same units (users, titles, rows), so that only their difference on each of them counts.
There is one test for every metric, the paired bootstrap by the shift method: draw the units anew many times, take the
difference of the two metrics each time, and ask how often it strays from the one observed by as much as that is from
zero (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16). Smucker, Allan & Carterette (A Comparison
of Statistical Significance Tests for Information Retrieval Evaluation, CIKM 2007) find that it agrees with the
randomisation and the t-test, and advise against Wilcoxon's signed-rank test: it tests another hypothesis than that of
equal means, and may call the worse model better. Nor is RMSE, R² or a correlation a mean over users. The signed ranks
are still a good measure of how much better: see `rank_biserial`.

Many pairs find differences by chance; Holm's correction keeps the chance of even one false finding below the level,
whatever the pairs have in common (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979; advised for
comparisons of many models by Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006).

>>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(4)
array([0.03, 0.06, 0.06, 0.02])
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

LEVEL = 0.05

Values = NDArray[np.float64]


def p_value(difference: float, resampled_b: Values) -> float:
    """Two-sided, in (0, 1]: never 0, as the sample itself counts as one resample.

    Args:
        difference: Of the two models' metrics, on all units.
        resampled_b: The same in every resample, (B,).

    >>> p_value(3.0, np.array([3.5, 2.0, 6.0])), p_value(0.0, np.zeros(3))
    (0.5, 1.0)
    """
    n_as_far = int(np.count_nonzero(np.abs(resampled_b - difference) >= abs(difference)))
    return (1 + n_as_far) / (1 + len(resampled_b))


def holm(p: Values) -> Values:
    """The p-values of m tests, (m,), so corrected that those below the level may all be believed together.

    The smallest is multiplied by m, the next by m - 1 and so on; none may fall below one before it, or exceed 1.
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return corrected


def rank_biserial(gain_u: Values) -> float:
    """Matched-pairs rank-biserial correlation, from -1 to 1: 1 if every unit gains, 0 if gains and losses even out.

    The units that neither gain nor lose are left out, the others ranked by how much they do; it is the sum of the
    ranks of those that gain less that of those that lose, over the sum of both, whose smaller one is Wilcoxon's T.
    Kerby, The Simple Difference Formula, Comprehensive Psychology 2014.

    >>> rank_biserial(np.array([3.0, 2.0, 0.0, -1.0]))   # ranks 3 and 2 against 1
    0.6666666666666666
    """
    moved = gain_u[gain_u != 0]
    rank = pl.Series(np.abs(moved)).rank("average").to_numpy()
    return float((rank * np.sign(moved)).sum() / rank.sum()) if len(moved) else 0.0
