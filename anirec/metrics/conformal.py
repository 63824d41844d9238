"""Split conformal prediction: intervals that hold the truth as often as they promise, whatever the model.

A model is wrong about new titles as often and as much as about the validation titles, if these were not trained on and
are exchangeable with the new ones. So the interval is the prediction ± a quantile of its absolute validation errors.
Papadopoulos et al., Inductive Confidence Machines for Regression, ECML 2002; Vovk, Gammerman & Shafer, Algorithmic
Learning in a Random World, 2005; Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018.

The promise is one for the average title, not for each score band. Where franchises were split, whole franchises are
what is exchangeable; and a best epoch chosen on the same validation titles makes the intervals a little too narrow.
The measured coverage on test shows both.
"""

from math import ceil, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST, HIGHEST = 1.0, 10.0  # scores that a title can have


def half_width(errors: ArrayLike, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n absolute errors: a new one is at most that with probability >= level.

    Args:
        errors: Of n titles that the model did not learn from, (n,), in points.
        level: Promised coverage, between 0 and 1.

    Returns:
        In points; infinite where n titles are too few for any promise, see `fewest`.

    >>> half_width([0.1, -0.2, 0.3, -0.4, 0.5, 0.6, -0.7, 0.8, 2.0], level=0.8)   # the 8th of 9
    0.8
    >>> half_width([0.1, -0.2], level=0.9)
    inf
    """
    distances = np.abs(np.asarray(errors, dtype=np.float64))
    rank = ceil(round((len(distances) + 1) * level, 9))
    return float(np.partition(distances, rank - 1)[rank - 1]) if rank <= len(distances) else inf


def fewest(level: float) -> int:
    """How many titles it takes to promise anything.

    >>> fewest(0.9), fewest(0.95)
    (9, 19)
    """
    return ceil(round(level / (1 - level), 9))


def interval(prediction: NDArray[np.floating], half: float) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Low and high end, (n,) each, within the scores that a title can have.

    >>> [ends.tolist() for ends in interval(np.array([7.0, 9.5]), 1.0)]
    [[6.0, 8.5], [8.0, 10.0]]
    """
    return (prediction - half).clip(LOWEST, HIGHEST), (prediction + half).clip(LOWEST, HIGHEST)
