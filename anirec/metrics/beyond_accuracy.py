"""What lists of recommendations are like, right or wrong: how varied, how obvious, how evenly spread.

Every function takes `items_uk`, int (U, k): the recommended item indices, -1 where a list is shorter than k; and the
`Catalogue` they come from. It returns one value, or one per user (U,), NaN for a user it is undefined for: the metric
is the mean of the others. Definitions: Castells, Hurley & Vargas, Novelty and Diversity in Recommender Systems, in
Recommender Systems Handbook, 2015, unless named otherwise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.definition import declare
from anirec.metrics.variation import ratio

Items = NDArray[np.integer]
PerUser = NDArray[np.float64]
USERS_AT_ONCE = 4096


@dataclass(frozen=True)
class Catalogue:
    """The items that may be recommended, and what is known of all items from training.

    Attributes:
        count_i: Training ratings of each item, int (I,).
        n_users: Number of training users.
        genres_ig: Which item has which genre, bool (I, G).
        candidates: Indices of the items that may be recommended, int (C,); None for all.
    """

    count_i: NDArray[np.integer]
    n_users: int
    genres_ig: NDArray[np.bool_]
    candidates: NDArray[np.integer] | None = None

    def times_recommended(self, items_uk: Items) -> NDArray[np.int64]:
        """(C,) how many lists hold each candidate."""
        times_i = np.bincount(items_uk[items_uk >= 0], minlength=len(self.count_i))
        return times_i if self.candidates is None else times_i[self.candidates]


@declare("lists", better="higher")
def coverage(items_uk: Items, catalogue: Catalogue) -> float:
    """Share of the candidates that are recommended to anybody.

    >>> coverage(np.array([[0, 1], [1, -1]]), small_catalogue())
    0.5
    """
    return float((catalogue.times_recommended(items_uk) > 0).mean())


@declare("lists", better="lower")
def gini(items_uk: Items, catalogue: Catalogue) -> float:
    """Inequality of how often each candidate is recommended: 0 if all equally often, towards 1 if always the same few.

    Fleder & Hosanagar, Blockbuster Culture's Next Rise or Fall, Management Science 2009.

    >>> gini(np.array([[0, 1], [2, 3]]), small_catalogue()), gini(np.array([[0], [0]]), small_catalogue())
    (0.0, 0.75)
    """
    times_c = np.sort(catalogue.times_recommended(items_uk))
    n = len(times_c)
    weight_c = 2 * np.arange(1, n + 1) - n - 1
    return float(ratio(weight_c @ times_c, n * times_c.sum()))


@declare("lists", better="higher")
def novelty(items_uk: Items, catalogue: Catalogue) -> PerUser:
    """Mean surprise of the recommended items in bits: -log2 of the share of training users who rated the item.

    Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 2010 (there called
    surprisal). An item that nobody rated counts as rated once: lists of such items alone are all equally novel.

    >>> novelty(np.array([[0, 1], [3, -1]]), small_catalogue())   # rated by 8, 4 and none of 8 users
    array([0.5, 3. ])
    """
    share_i = np.maximum(catalogue.count_i, 1) / catalogue.n_users
    return mean_over_list(-np.log2(share_i), items_uk)


@declare("lists", better="lower")
def popularity(items_uk: Items, catalogue: Catalogue) -> PerUser:
    """Mean number of training ratings of the recommended items.

    >>> popularity(np.array([[0, 1], [3, -1]]), small_catalogue())
    array([6., 0.])
    """
    return mean_over_list(catalogue.count_i.astype(np.float64), items_uk)


@declare("lists", better="higher")
def diversity(items_uk: Items, catalogue: Catalogue) -> PerUser:
    """1 - mean Jaccard similarity of the genres of every two items in a list; 0 all alike, 1 nothing in common.

    Items without a genre are left out; a list with fewer than two others has no diversity (NaN). After Ziegler et al.,
    Improving Recommendation Lists Through Topic Diversification, WWW 2005.

    >>> diversity(np.array([[0, 1], [0, 2], [0, 3]]), small_catalogue())   # {a} {a, b}; {a} {c}; {a} {}
    array([0.5, 1. , nan])
    """
    genres_ig = np.vstack([catalogue.genres_ig, np.zeros_like(catalogue.genres_ig[:1])]).astype(np.float32)
    blocks = [items_uk[start : start + USERS_AT_ONCE] for start in range(0, len(items_uk), USERS_AT_ONCE)]
    return np.concatenate([diversity_of_block(genres_ig[items_bk]) for items_bk in blocks])


def diversity_of_block(genres_bkg: NDArray[np.float32]) -> PerUser:
    """(B,) diversity of the lists whose items have these genres, float 0 or 1 (B, k, G)."""
    shared_bkk = genres_bkg @ genres_bkg.transpose(0, 2, 1)
    n_bk = genres_bkg.sum(axis=2)
    either_bkk = n_bk[:, :, None] + n_bk[:, None, :] - shared_bkk
    # Two items without genres share none of none: 0, and so they add nothing to the sum.
    alike_b = (shared_bkk / np.maximum(either_bkk, 1)).sum(axis=(1, 2), dtype=np.float64)
    n_b = (n_bk > 0).sum(axis=1)
    n_pairs_b = n_b * (n_b - 1)
    # Each item is wholly like itself: n of the n² similarities do not count.
    return ratio(n_pairs_b - (alike_b - n_b), n_pairs_b)


def mean_over_list(value_i: NDArray[np.float64], items_uk: Items) -> PerUser:
    """(U,) mean value of the items in each list; NaN for an empty one."""
    is_item_uk = items_uk >= 0
    n_u = is_item_uk.sum(axis=1)
    total_u = np.where(is_item_uk, value_i[items_uk], 0.0).sum(axis=1)
    return ratio(total_u, n_u)


def small_catalogue() -> Catalogue:
    """The four items of the examples above, with genres {a}, {a, b}, {c}, {}."""
    genres = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    return Catalogue(count_i=np.array([8, 4, 1, 0]), n_users=8, genres_ig=genres)
