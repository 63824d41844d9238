"""Split conformal prediction: intervals around predicted scores with guaranteed average coverage, for any model.

The interval is the prediction ± a quantile of the absolute errors on the validation titles. It contains the true score
of a new title with at least the promised probability if the validation titles were not used for training and are
exchangeable with the new ones.
Papadopoulos et al., Inductive Confidence Machines for Regression, ECML 2002; Vovk, Gammerman & Shafer, Algorithmic
Learning in a Random World, 2005; Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018.

Coverage is guaranteed on average over titles, not within each score band. Two things weaken the guarantee: where
franchises were split as clusters, clusters rather than titles are exchangeable; and if the best epoch was chosen on the
same validation titles, the intervals are slightly too narrow. The coverage measured on the test set shows both effects.
"""

from math import ceil, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray


def half_width(errors: ArrayLike, level: float) -> float:
    """Compute the half-width of the interval: the ceil((n + 1) level)-th smallest of n absolute errors.

    The absolute error on a new title is at most this value with probability >= level.

    Args:
        errors: Errors in points on n titles that the model was not trained on, (n,).
        level: Promised coverage, between 0 and 1.

    Returns:
        The half-width in points; infinity if n < `min_calibration_size(level)`.

    >>> half_width([0.1, -0.2, 0.3, -0.4, 0.5, 0.6, -0.7, 0.8, 2.0], level=0.8)   # the 8th of 9
    0.8
    >>> half_width([0.1, -0.2], level=0.9)
    inf
    """
    distances = np.abs(np.asarray(errors, dtype=np.float64))
    rank = ceil(round((len(distances) + 1) * level, 9))
    return float(np.partition(distances, rank - 1)[rank - 1]) if rank <= len(distances) else inf


def min_calibration_size(level: float) -> int:
    """Return the smallest number of validation titles that gives a finite interval at this level.

    >>> min_calibration_size(0.9), min_calibration_size(0.95)
    (9, 19)
    """
    return ceil(round(level / (1 - level), 9))


def prediction_interval(
    prediction: NDArray[np.floating], half: float, lowest: float = 1.0, highest: float = 10.0
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the lower and upper ends, (n,) each, clipped to the range of possible scores, `lowest` to `highest`.

    >>> [ends.tolist() for ends in prediction_interval(np.array([7.0, 9.5]), 1.0)]
    [[6.0, 8.5], [8.0, 10.0]]
    """
    return (prediction - half).clip(lowest, highest), (prediction + half).clip(lowest, highest)
