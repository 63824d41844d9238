"""Split conformal prediction: intervals around predicted scores with guaranteed average coverage, for any model.

Intervals are calibrated on the errors of titles that the model was not trained on. They contain the true score of a
new title with at least the promised probability if the calibration titles chose neither the epoch nor the settings and
are exchangeable with the new ones. Three methods differ in the titles for which that holds:

- `plain`: the prediction ± a quantile of the absolute errors. It holds on average over titles, so that the intervals of
  easy titles are too wide and those of hard ones too narrow.
- `normalised`: the errors are divided by the difficulty of their title first (Papadopoulos et al. 2011).
- `banded`: a quantile for each band of true scores (Mondrian, or label-conditional: Vovk et al. 2005, chapter 4). It
  holds within each band, also among the best and the worst titles, and is therefore wider. A band with n titles, too
  few for the promised coverage, has the largest of their errors, which holds for a share n / (n + 1).

Weighted errors extend all three to new titles that are distributed differently (Tibshirani et al. 2019). Where
franchises were split as clusters, clusters rather than titles are exchangeable.

Papadopoulos et al., Inductive Confidence Machines for Regression, ECML 2002; Regression Conformal Prediction with
Nearest Neighbours, JAIR 40, 2011. Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005. Lei et al.,
Distribution-Free Predictive Inference for Regression, JASA 2018. Tibshirani et al., Conformal Prediction under
Covariate Shift, NeurIPS 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Method = Literal["plain", "normalised", "banded"]
METHODS: tuple[Method, ...] = get_args(Method)
FEWEST = 4  # titles of a band: the largest of 4 errors exceeds that of a new title with probability 0.8
ROUNDING = 1e-9  # of the rank of a quantile
Ends = tuple[NDArray[np.floating], NDArray[np.floating]]  # lower and upper


def half_width(errors: ArrayLike, level: float, weights: ArrayLike = 1.0, own_weight: float = 1.0) -> float:
    """Compute the half-width of the interval: the weighted quantile of the absolute errors and of one infinite error.

    With equal weights it is the ceil((n + 1) level)-th smallest of n absolute errors. The absolute error on a new title
    is at most this value with probability >= level.

    Args:
        errors: Errors in points on n titles that the model was not trained on, (n,).
        level: Promised coverage, between 0 and 1.
        weights: How many times as likely each title is among the new titles as among the calibration titles, (n,).
        own_weight: The same of the new title.

    Returns:
        The half-width in points; infinity if too few titles resemble the new one, in particular if
        n < `min_calibration_size(level)`.

    >>> half_width([0.1, -0.2, 0.3, -0.4, 0.5, 0.6, -0.7, 0.8, 2.0], level=0.8)   # the 8th of 9
    0.8
    >>> half_width([0.1, -0.2], level=0.9)
    inf
    """
    distances = np.abs(np.asarray(errors, dtype=np.float64))
    order = np.argsort(distances, kind="stable")
    cumulative = np.broadcast_to(np.asarray(weights, dtype=np.float64), distances.shape)[order].cumsum()
    if not len(distances):
        return inf
    needed = level * (cumulative[-1] + own_weight) * (1 - ROUNDING)
    rank = int(np.searchsorted(cumulative, needed))
    return float(distances[order[rank]]) if rank < len(distances) else inf


def min_calibration_size(level: float) -> int:
    """Return the smallest number of calibration titles that gives a finite interval at this level.

    >>> min_calibration_size(0.9), min_calibration_size(0.95)
    (9, 19)
    """
    return ceil(round(level / (1 - level), 9))


def prediction_interval(
    prediction: NDArray[np.floating], half: NDArray[np.floating] | float, lowest: float = 1.0, highest: float = 10.0
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the lower and upper ends, (n,) each, clipped to the range of possible scores, `lowest` to `highest`.

    >>> [ends.tolist() for ends in prediction_interval(np.array([7.0, 9.5]), 1.0)]
    [[6.0, 8.5], [8.0, 10.0]]
    """
    return (prediction - half).clip(lowest, highest), (prediction + half).clip(lowest, highest)


def populated_edges(edges: Sequence[float], scores: NDArray[np.floating], least: int) -> list[float]:
    """Return the edges of bands that hold at least so many scores each; smaller bands are joined to a neighbour.

    >>> populated_edges([5, 6, 7, 8], np.array([5.5, 6.1, 6.2, 7.3, 7.4, 8.8, 9.0]), least=2)
    [7, 8]
    """
    kept = list(edges)
    while kept:
        counts = np.bincount(np.digitize(scores, kept), minlength=len(kept) + 1)
        small = int(counts.argmin())
        if counts[small] >= least:
            break
        joins_lower = small == len(kept) or (small > 0 and counts[small - 1] < counts[small + 1])
        del kept[small - joins_lower]
    return kept


@dataclass(frozen=True)
class Calibration:
    """True and predicted scores of the calibration titles, from which the intervals of new titles follow.

    Args:
        target: True scores, (n,).
        prediction: Predicted scores, (n,).
        difficulty: Expected absolute errors, (n,), > 0; used by `normalised`.
        edges: Scores between the bands of `banded`; bands with too few calibration titles are joined.
        level: Promised coverage, between 0 and 1.
        lowest: Lowest possible score.
        highest: Highest possible score.
    """

    target: NDArray[np.float64]
    prediction: NDArray[np.float64]
    difficulty: NDArray[np.float64]
    edges: Sequence[float]
    level: float
    lowest: float = 1.0
    highest: float = 10.0

    @property
    def is_possible(self) -> bool:
        """Whether there are enough titles for finite intervals."""
        return len(self.target) >= min_calibration_size(self.level)

    @property
    def error(self) -> NDArray[np.float64]:
        return self.prediction - self.target

    def bands(self) -> list[tuple[float, float, NDArray[np.bool_]]]:
        """Return the lower and upper end of each band, and which calibration titles belong to it."""
        kept = populated_edges(self.edges, self.target, FEWEST)
        band = np.digitize(self.target, kept)
        return [(low, high, band == i) for i, (low, high) in enumerate(pairwise([-inf, *kept, inf]))]

    def half_widths(
        self, errors: NDArray[np.float64], n: int, weights: NDArray[np.float64], own: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the half-width for each of n new titles; the largest error where none is large enough."""
        if own is None:
            return np.full(n, min(half_width(errors, self.level, weights), np.abs(errors).max()))
        distinct, which = np.unique(own, return_inverse=True)
        found = np.array([half_width(errors, self.level, weights, one) for one in distinct])
        return np.minimum(found, np.abs(errors).max())[which]

    def intervals(
        self,
        method: Method,
        prediction: NDArray[np.floating],
        difficulty: NDArray[np.floating],
        *,
        weights: NDArray[np.float64] | None = None,
        own_weights: NDArray[np.float64] | None = None,
    ) -> Ends:
        """Return the lower and upper ends of the intervals of new titles, (m,) each.

        No interval is wider than the largest calibration error, which is all that the calibration titles support.

        Args:
            method: See the module.
            prediction: Predicted scores, (m,).
            difficulty: Expected absolute errors, (m,).
            weights: Weight of each calibration title, (n,), see `half_width`; None: equal weights.
            own_weights: Weight of each new title, (m,); infinity gives the widest interval. None: 1 each.
        """
        centre, n = np.asarray(prediction, dtype=np.float64), len(prediction)
        weights = np.ones(len(self.target)) if weights is None else weights
        if method == "plain":
            return prediction_interval(
                centre, self.half_widths(self.error, n, weights, own_weights), self.lowest, self.highest
            )
        if method == "normalised":
            half = self.half_widths(self.error / self.difficulty, n, weights, own_weights) * difficulty
            return prediction_interval(centre, half, self.lowest, self.highest)
        low, high = centre.copy(), centre.copy()
        for band_low, band_high, own_titles in self.bands():
            half = self.half_widths(self.error[own_titles], n, weights[own_titles], own_weights)
            # The scores of this band that are near enough. The interval contains those of all bands.
            start, end = np.maximum(centre - half, band_low), np.minimum(centre + half, band_high)
            low = np.where(start <= end, np.minimum(low, start), low)
            high = np.where(start <= end, np.maximum(high, end), high)
        return low.clip(self.lowest, self.highest), high.clip(self.lowest, self.highest)
