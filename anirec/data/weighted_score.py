"""MyAnimeList's weighted score: the mean of few votes is drawn towards the mean of the whole site."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def weighted_score(mean: Number, votes: Number, *, bound: float, site_mean: float) -> Number:
    """W = v / (v + m) · S + m / (v + m) · C.

    Args:
        mean: S, the mean of a title's votes, 1-10.
        votes: v, how many there are, >= 0; without any, W is C.
        bound: m > 0: with so many votes a title's own mean and the site's count alike.
        site_mean: C, the mean score over the whole site.

    Source: https://myanimelist.net/info.php?go=topanime; Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025, eq. 1-5.

    >>> weighted_score(9.0, 50.0, bound=50, site_mean=6.5), weighted_score(9.0, 0.0, bound=50, site_mean=6.5)
    (7.75, 6.5)
    """
    if bound <= 0:
        raise ValueError(f"bound={bound}, expected a number of votes > 0")
    return votes / (votes + bound) * mean + bound / (votes + bound) * site_mean
