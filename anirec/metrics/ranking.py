"""How well a list of k recommendations finds the items that a user held out.

Each metric is the mean of one value per user. Every function takes `hits_uk`, bool (U, k), True where the item at that
rank is relevant, best rank first (a list shorter than k is filled with False), and `n_relevant_u`, int (U,): how many
items could be found. It returns float64 (U,) in [0, 1]; shares of the relevant items are NaN where there is none. The
gain is binary.
Definitions: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002 (NDCG);
Manning, Raghavan & Schütze, Introduction to Information Retrieval, 2008, chapter 8 (the others).

>>> hits = np.array([[False, True, False, True]])   # the second and the fourth are relevant,
>>> n_relevant = np.array([5])                      # of five that are
>>> hit_rate(hits, n_relevant), precision(hits, n_relevant), recall(hits, n_relevant)
(array([1.]), array([0.5]), array([0.4]))
>>> reciprocal_rank(hits, n_relevant), average_precision(hits, n_relevant)
(array([0.5]), array([0.25]))
>>> ndcg(hits, n_relevant).round(4)
array([0.4144])
"""

# ruff: noqa: ARG001  (all take the same two arguments, whether they need both or not)

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.definition import declare
from anirec.metrics.variation import ratio

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer]
PerUser = NDArray[np.float64]


@declare("ranking", better="higher")
def hit_rate(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """1 where any of the k is relevant."""
    return np.any(hits_uk, axis=1).astype(np.float64)


@declare("ranking", better="higher")
def precision(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """Share of the k that is relevant; k also where the list is shorter."""
    return hits_uk.sum(axis=1) / hits_uk.shape[1]


@declare("ranking", better="higher")
def recall(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """Share of the relevant items that is among the k."""
    return ratio(hits_uk.sum(axis=1), n_relevant_u)


@declare("ranking", better="higher")
def ndcg(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """Discounted gain, 1 / log2(1 + rank) a hit, over that of the best list: min(n_relevant, k) hits on top."""
    discount_k = 1 / np.log2(np.arange(2, hits_uk.shape[1] + 2))
    ideal_k = np.append(0.0, np.cumsum(discount_k))
    return ratio(hits_uk @ discount_k, ideal_k[np.minimum(n_relevant_u, len(discount_k))])


@declare("ranking", better="higher", name="map")
def average_precision(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """Precision at the rank of each hit, summed, over min(n_relevant, k): a perfect list reaches 1 for every user.

    Others divide by n_relevant (a user with more than k relevant items cannot reach 1) or by the number of hits (one
    hit on top is perfect): mind it when comparing with published figures.
    """
    ranks_k = np.arange(1, hits_uk.shape[1] + 1)
    found_uk = np.cumsum(hits_uk, axis=1) * hits_uk
    return ratio((found_uk / ranks_k).sum(axis=1), np.minimum(n_relevant_u, len(ranks_k)))


@declare("ranking", better="higher", name="mrr")
def reciprocal_rank(hits_uk: Hits, n_relevant_u: Counts) -> PerUser:
    """1 / rank of the first relevant item; 0 where there is none among the k."""
    return hits_uk.any(axis=1) / (hits_uk.argmax(axis=1) + 1)
