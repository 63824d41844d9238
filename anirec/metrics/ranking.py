"""Ranking metrics: how well a list of k recommendations finds the items that were held out of a user's history.

Each metric is the mean of one value per user. Every function takes `hits_uk`, bool (U, k), True where the item at that
rank is relevant, best rank first (lists shorter than k are padded with False), and `n_relevant_u`, int (U,), the number
of relevant held-out items. It returns float64 (U,) in [0, 1]; metrics that divide by the number of relevant items are
NaN for users without any. Relevance is binary.
Definitions: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002 (NDCG);
Manning, Raghavan & Schütze, Introduction to Information Retrieval, 2008, chapter 8 (the others).

>>> hits = np.array([[False, True, False, True]])   # the second and the fourth item are relevant,
>>> n_relevant = np.array([5])                      # out of five relevant items
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

from anirec.metrics.definition import UserValues, declare
from anirec.metrics.variation import ratio

Hits = NDArray[np.bool_]
RelevantCounts = NDArray[np.integer]


@declare("ranking", better="higher")
def hit_rate(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return 1 for users with at least one relevant item in the list, else 0."""
    return np.any(hits_uk, axis=1).astype(np.float64)


@declare("ranking", better="higher")
def precision(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return the share of the k ranks that hold a relevant item; divides by k even if the list is shorter."""
    return hits_uk.sum(axis=1) / hits_uk.shape[1]


@declare("ranking", better="higher")
def recall(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return the share of the relevant items that are in the list."""
    return ratio(hits_uk.sum(axis=1), n_relevant_u)


@declare("ranking", better="higher")
def ndcg(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return the discounted gain, 1 / log2(1 + rank) per hit, divided by that of an ideal list of k items."""
    discount_k = 1 / np.log2(np.arange(2, hits_uk.shape[1] + 2))
    ideal_k = np.append(0.0, np.cumsum(discount_k))
    return ratio(hits_uk @ discount_k, ideal_k[np.minimum(n_relevant_u, len(discount_k))])


@declare("ranking", better="higher", name="map")
def average_precision(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return the sum of the precisions at the ranks of the hits, divided by min(n_relevant, k).

    With this divisor a perfect list reaches 1 for every user. Some publications divide by n_relevant (a user with more
    than k relevant items cannot reach 1) or by the number of hits (a single hit at rank 1 is perfect); check this when
    comparing with published figures.
    """
    ranks_k = np.arange(1, hits_uk.shape[1] + 1)
    found_uk = np.cumsum(hits_uk, axis=1) * hits_uk
    return ratio((found_uk / ranks_k).sum(axis=1), np.minimum(n_relevant_u, len(ranks_k)))


@declare("ranking", better="higher", name="mrr")
def reciprocal_rank(hits_uk: Hits, n_relevant_u: RelevantCounts) -> UserValues:
    """Return 1 / rank of the first relevant item; 0 if there is none in the list."""
    return hits_uk.any(axis=1) / (hits_uk.argmax(axis=1) + 1)
