"""How likely a rating is to reach a threshold: from a prediction, and from how far off predictions are."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def chances(prediction: Floats, errors: Floats, weights: Floats, threshold: float) -> NDArray[np.float64]:
    """(n,): the weight of those errors that lift each prediction to the threshold, as a share of all.

    Args:
        prediction: (n,).
        errors: Ratings less predictions of rows that the model did not learn from, (m,); m >= 1.
        weights: What each of them counts, (m,); > 0.
        threshold: What must be reached; see `half_step`.

    >>> chances(np.array([6.0, 7.0, 9.0]), np.array([-1.0, 0.0, 1.0, 2.0]), np.ones(4), 8.0).tolist()
    [0.25, 0.5, 1.0]
    """
    order = np.argsort(errors)
    below = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
    place = np.searchsorted(errors[order].astype(np.float64), threshold - prediction.astype(np.float64))
    return 1 - below[place] / below[-1]


def half_step(ratings: Floats) -> float:
    """Half of what lies between a rating and the next: where ratings are whole, 7.5 is as good as an 8.

    >>> half_step(np.array([7.0, 10.0, 8.0])), half_step(np.array([7.0, 7.5, 9.0])), half_step(np.array([7.0, 7.0]))
    (0.5, 0.25, 0.0)
    """
    distinct = np.unique(ratings)
    return float(np.diff(distinct).min()) / 2 if len(distinct) > 1 else 0.0
