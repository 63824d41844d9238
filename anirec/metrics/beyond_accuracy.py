"""Metrics of recommendation lists beyond accuracy: coverage, Gini index, novelty, popularity and diversity.

Every function takes `items_uk`, int (U, k): the recommended item indices, -1 where a list is shorter than k; and the
`ItemStatistics` of the training set. It returns one value, or one value per user (U,) with NaN where it is undefined;
the metric is then the mean over the remaining users. Definitions follow Castells, Hurley & Vargas, Novelty and
Diversity in Recommender Systems, in Recommender Systems Handbook, 2015, unless stated otherwise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.metrics.definition import UserValues, declare
from anirec.metrics.variation import ratio

Items = NDArray[np.integer]
USERS_AT_ONCE = 4096
ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ItemStatistics:
    """Training statistics of all items, and the items that may be recommended.

    Attributes:
        count_i: Number of training ratings of each item, int (I,).
        n_users: Number of training users.
        genres_ig: Which item has which genre, bool (I, G).
        candidates: Indices of the items that may be recommended, int (C,); None for all.
    """

    count_i: NDArray[np.integer]
    n_users: int
    genres_ig: NDArray[np.bool_]
    candidates: NDArray[np.integer] | None = None

    def times_recommended(self, items_uk: Items) -> NDArray[np.int64]:
        """Return how many lists contain each candidate, int (C,)."""
        times_i = np.bincount(items_uk[items_uk >= 0], minlength=len(self.count_i))
        return times_i if self.candidates is None else times_i[self.candidates]


@declare("lists", better="higher")
def coverage(items_uk: Items, statistics: ItemStatistics) -> float:
    """Compute the share of the candidates that are recommended to at least one user.

    >>> coverage(np.array([[0, 1], [1, -1]]), example_statistics())
    0.5
    """
    return float((statistics.times_recommended(items_uk) > 0).mean())


@declare("lists", better="lower")
def gini(items_uk: Items, statistics: ItemStatistics) -> float:
    """Compute the Gini index of how often each candidate is recommended.

    0: all candidates equally often; close to 1: always the same few. Fleder & Hosanagar, Blockbuster Culture's Next
        Rise
    or Fall, Management Science 2009.

    >>> gini(np.array([[0, 1], [2, 3]]), example_statistics()), gini(np.array([[0], [0]]), example_statistics())
    (0.0, 0.75)
    """
    times_c = np.sort(statistics.times_recommended(items_uk))
    n = len(times_c)
    weight_c = 2 * np.arange(1, n + 1) - n - 1
    return float(ratio(weight_c @ times_c, n * times_c.sum()))


@declare("lists", better="higher")
def novelty(items_uk: Items, statistics: ItemStatistics) -> UserValues:
    """Compute the mean self-information of the recommended items: -log2 of the share of users who rated an item.

    In bits, over the users of the training set. Zhou et al., Solving the apparent diversity-accuracy dilemma of
    recommender systems, PNAS 2010 (there called surprisal). An item without ratings counts as rated once, so that every
    list made only of such items is equally novel.

    >>> novelty(np.array([[0, 1], [3, -1]]), example_statistics())   # rated by 8, 4 and none of 8 users
    array([0.5, 3. ])
    """
    share_i = np.maximum(statistics.count_i, 1) / statistics.n_users
    return mean_over_list(-np.log2(share_i), items_uk)


@declare("lists", better="lower")
def popularity(items_uk: Items, statistics: ItemStatistics) -> UserValues:
    """Compute the mean number of training ratings of the recommended items.

    >>> popularity(np.array([[0, 1], [3, -1]]), example_statistics())
    array([6., 0.])
    """
    return mean_over_list(statistics.count_i.astype(np.float64), items_uk)


@declare("lists", better="higher", needs="genres")
def diversity(items_uk: Items, statistics: ItemStatistics) -> UserValues:
    """Compute 1 - mean Jaccard similarity of genres over all pairs of items in a list.

    0: all items have the same genres; 1: no two items share a genre. Items without a genre are left out; a list with
        fewer
    than two items that have a genre is undefined (NaN). After Ziegler et al., Improving Recommendation Lists Through
    Topic Diversification, WWW 2005.

    >>> diversity(np.array([[0, 1], [0, 2], [0, 3]]), example_statistics())   # {a} {a, b}; {a} {c}; {a} {}
    array([0.5, 1. , nan])
    """
    genres_ig = np.vstack([statistics.genres_ig, np.zeros_like(statistics.genres_ig[:1])]).astype(np.float32)
    blocks = [items_uk[start : start + USERS_AT_ONCE] for start in range(0, len(items_uk), USERS_AT_ONCE)]
    return np.concatenate([diversity_of_block(genres_ig[items_bk]) for items_bk in blocks])


def diversity_of_block(genres_bkg: NDArray[np.float32]) -> UserValues:
    """Compute the diversity (B,) of lists, given the genres of their items, float 0 or 1 (B, k, G)."""
    shared_bkk = genres_bkg @ genres_bkg.transpose(0, 2, 1)
    n_bk = genres_bkg.sum(axis=2)
    either_bkk = n_bk[:, :, None] + n_bk[:, None, :] - shared_bkk
    # Two items without genres share 0 of 0 genres; with the denominator set to 1 they add nothing to the sum.
    alike_b = (shared_bkk / np.maximum(either_bkk, 1)).sum(axis=(1, 2), dtype=np.float64)
    n_b = (n_bk > 0).sum(axis=1)
    n_pairs_b = n_b * (n_b - 1)
    # Each item has similarity 1 with itself: subtract these n of the n² similarities.
    return ratio(n_pairs_b - (alike_b - n_b), n_pairs_b)


def mean_over_list(value_i: NDArray[np.float64], items_uk: Items) -> UserValues:
    """Compute the mean value of the items in each list, (U,); NaN for an empty list."""
    is_item_uk = items_uk >= 0
    n_u = is_item_uk.sum(axis=1)
    total_u = np.where(is_item_uk, value_i[items_uk], 0.0).sum(axis=1)
    return ratio(total_u, n_u)


def example_statistics() -> ItemStatistics:
    """Return the statistics of the four items in the examples above, with genres {a}, {a, b}, {c}, {}."""
    genres = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    return ItemStatistics(count_i=np.array([8, 4, 1, 0]), n_users=8, genres_ig=genres)


def training_counts(data: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of training ratings of every user and of every item."""
    count_i = np.zeros(data.n_items, dtype=np.int64)
    for start in range(0, len(data.train.item), ROWS_AT_ONCE):  # bincount copies its argument as int64
        count_i += np.bincount(data.train.item[start : start + ROWS_AT_ONCE], minlength=data.n_items)
    return np.diff(data.train.indptr), count_i


def genre_matrix(genres: pl.Series) -> NDArray[np.bool_]:
    """Return which item has which genre, bool (I, G); `genres` is list[str] (I,) and may contain nulls.

    >>> genre_matrix(pl.Series([["Drama", "Mystery"], None, ["Drama"]])).astype(int)
    array([[1, 1],
           [0, 0],
           [1, 0]])
    """
    pairs = pl.DataFrame({"item": np.arange(len(genres)), "genre": genres}).explode("genre").drop_nulls()
    genre = pairs["genre"].rank("dense").cast(pl.Int64).to_numpy() - 1
    matrix = np.zeros((len(genres), int(genre.max(initial=-1)) + 1), dtype=bool)
    matrix[pairs["item"].to_numpy(), genre] = True
    return matrix
