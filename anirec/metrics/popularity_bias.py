"""Metrics of popularity bias and calibration: whom lists favour, compared with what users could or would choose.

The short head are the most popular items that together have `HEAD` of the training ratings; items with equal counts are
on one side. All others, also those without ratings, are the long tail. As in `beyond_accuracy`, `items_uk` are the
recommended items, int (U, k), -1 where a list is shorter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.beyond_accuracy import USERS_AT_ONCE, Items, ItemStatistics, example_statistics, mean_over_list  # noqa: F401 (example_statistics: for the examples)
from anirec.metrics.definition import UserValues, declare
from anirec.metrics.ranking import ndcg
from anirec.metrics.variation import ratio

HEAD = 0.8  # share of the training ratings
THIRDS, FIFTHS = (1 / 3, 2 / 3), (0.2, 0.8)  # shares of users at which groups end
SMOOTHING = 0.01  # share of the user's own genres in the genres of a list, so that the divergence is finite


@dataclass(frozen=True)
class RankedUsers:
    """What the users of some lists have seen and would choose.

    Attributes:
        hits_uk: Which recommended items are relevant, bool (U, k).
        relevant_i: Number of these users for whom each item is relevant, int (I,).
        seen_i: Returns the number of these users who have seen each item, int (I,).
        taste_ug: Returns the share of each genre in the training ratings of each user, float (U, G); NaN without any.
        n_relevant_u: Number of relevant items of each user, int (U,).
        profiles: Returns what each user has rated in training.
    """

    hits_uk: NDArray[np.bool_]
    relevant_i: NDArray[np.integer]
    seen_i: Callable[[], NDArray[np.integer]]
    taste_ug: Callable[[], NDArray[np.floating]]
    n_relevant_u: NDArray[np.integer]
    profiles: "Callable[[], Profiles]"


@dataclass(frozen=True)
class Profiles:
    """The training ratings of each user, float (U,) each; NaN for the last two where there are none.

    Attributes:
        n_u: Their number.
        popularity_u: Mean number of training ratings of their items.
        head_u: Share of them that is in the short head.
    """

    n_u: NDArray[np.floating]
    popularity_u: NDArray[np.floating]
    head_u: NDArray[np.floating]


def is_in_head(count_i: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which items are in the short head, bool (I,).

    >>> is_in_head(np.array([2, 50, 30, 8, 8, 2]))
    array([False,  True,  True, False, False, False])
    """
    ordered = np.sort(count_i)[::-1]
    needed = np.searchsorted(np.cumsum(ordered), HEAD * ordered.sum())
    return count_i >= max(1, ordered[min(needed, len(ordered) - 1)])


@declare("lists", better="higher")
def aplt(items_uk: Items, statistics: ItemStatistics) -> UserValues:
    """Compute the average percentage of long tail: the share of long-tail items in a list, 0 to 1.

    Abdollahpouri, Burke & Mobasher, Managing Popularity Bias in Recommender Systems with Personalized Re-ranking,
    FLAIRS 2019.

    >>> aplt(np.array([[0, 1], [2, -1]]), example_statistics())   # rated by 8, 4 and 1 users
    array([0., 1.])
    """
    return mean_over_list((~is_in_head(statistics.count_i)).astype(np.float64), items_uk)


@declare("lists", better="higher")
def aclt(items_uk: Items, statistics: ItemStatistics) -> UserValues:
    """Compute the average coverage of long tail: the number of long-tail items in a list. Source: see `aplt`.

    >>> aclt(np.array([[2, 3], [0, 3]]), example_statistics())
    array([2., 1.])
    """
    is_tail_i = np.append(~is_in_head(statistics.count_i), False)
    return is_tail_i[items_uk].sum(axis=1).astype(np.float64)


@declare("users", better="lower")
def pop_rsp(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> float:
    """Compute popularity-based statistical parity: how unequal the chance of being recommended is in head and tail.

    The chance in a group is the number of its items in all lists over the number of its items that a user has not seen,
    summed over users. The value is the standard deviation of both chances over their mean: 0 if they are equal, 1 if
    only one group is recommended. Zhu, Wang & Caverlee, Measuring and Mitigating Item Under-Recommendation Bias in
    Personalized Ranking Systems, SIGIR 2020 (ranking-based statistical parity).
    """
    recommended_i = np.bincount(items_uk[items_uk >= 0], minlength=len(statistics.count_i))
    unseen_i = len(items_uk) - users.seen_i()
    if statistics.candidates is not None:
        is_candidate = np.isin(np.arange(len(unseen_i)), statistics.candidates)
        unseen_i = np.where(is_candidate, unseen_i, 0)
    return inequality(recommended_i, unseen_i, statistics)


@declare("users", better="lower")
def pop_reo(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> float:
    """Compute popularity-based equal opportunity: how unequal the recall of relevant items is in head and tail.

    As `pop_rsp`, with the number of hits in a group over the number of its relevant items (ranking-based equal
    opportunity). NaN if a group has no relevant item.
    """
    is_hit_uk = users.hits_uk[:, : items_uk.shape[1]] & (items_uk >= 0)
    hits_i = np.bincount(items_uk[is_hit_uk], minlength=len(statistics.count_i))
    return inequality(hits_i, users.relevant_i, statistics)


def inequality(part_i: NDArray[np.integer], all_i: NDArray[np.integer], statistics: ItemStatistics) -> float:
    """Return the standard deviation over the mean of the share part / all in head and tail."""
    is_head_i = is_in_head(statistics.count_i)
    shares = np.array([ratio(float(part_i[of].sum()), float(all_i[of].sum())) for of in (is_head_i, ~is_head_i)])
    return float(ratio(shares.std(), shares.mean()))


@declare("users", better="lower", needs="genres")
def miscalibration(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> UserValues:
    """Compute the Kullback-Leibler divergence of the genres of a list from those of the user's training ratings.

    0: a list has each genre as often as the user's ratings. An item counts 1 / n for each of its n genres. The genres
    of a list are smoothed by those of the user. NaN for a user or a list without genres. Steck, Calibrated
    Recommendations, RecSys 2018, equations 2 to 5.
    """
    taste_ug = users.taste_ug().astype(np.float64)
    shares_ig = genre_shares(statistics.genres_ig)
    padded_ig = np.vstack([shares_ig, np.zeros_like(shares_ig[:1])])
    total_ug = padded_ig[items_uk].sum(axis=1)
    listed_ug = ratio(total_ug, total_ug.sum(axis=1, keepdims=True))
    smoothed_ug = (1 - SMOOTHING) * listed_ug + SMOOTHING * taste_ug
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_ug = np.where(taste_ug > 0, taste_ug * np.log(taste_ug / smoothed_ug), 0.0)
    return np.where(np.isnan(taste_ug + listed_ug).any(axis=1), np.nan, terms_ug.sum(axis=1))


@declare("users", better="lower")
def user_mad(items_uk: Items, _: ItemStatistics, users: RankedUsers) -> float:
    """Compute the mean absolute difference of NDCG between thirds of the users by their number of training ratings.

    0: lists are equally good for all groups. Users with equal numbers are in one group. NaN with a single group.
    Deldjoo et al., A Flexible Framework for Evaluating User and Item Fairness in Recommender Systems, UMUAI 2021
    (UserMAD).
    """
    value_u = ndcg(users.hits_uk[:, : items_uk.shape[1]], users.n_relevant_u)
    group_u = group_of(users.profiles().n_u, THIRDS)
    means = [value_u[group_u == group].mean() for group in np.unique(group_u)]
    return float(np.mean([abs(a - b) for a, b in combinations(means, 2)])) if len(means) > 1 else float("nan")


@declare("users", better="lower")
def lift_niche(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> float:
    """Compute how much more popular the lists of niche users are than what they have rated; see `popularity_lift`."""
    return popularity_lift(items_uk, statistics, users)[0]


@declare("users", better="lower")
def lift_diverse(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> float:
    """Compute how much more popular the lists of diverse users are than what they have rated; see `popularity_lift`."""
    return popularity_lift(items_uk, statistics, users)[1]


@declare("users", better="lower")
def lift_blockbuster(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> float:
    """Compute how much more popular the lists of blockbuster users are than their ratings; see `popularity_lift`."""
    return popularity_lift(items_uk, statistics, users)[2]


def popularity_lift(items_uk: Items, statistics: ItemStatistics, users: RankedUsers) -> list[float]:
    """Return the relative increase of the mean popularity from ratings to lists of three groups of users.

    Niche users are the fifth with the smallest share of the short head in their training ratings, blockbuster users
    that with the largest share, diverse users all others. 0: lists are as popular as what the users have rated. NaN
    for a group without users. Abdollahpouri et al., The Unfairness of Popularity Bias in Recommendation, RMSE workshop
    at RecSys 2019 (the change of group average popularity); there the head are the most popular 20% of the items.
    """
    profiles, listed_u = users.profiles(), mean_over_list(statistics.count_i.astype(np.float64), items_uk)
    defined_u = ~np.isnan(profiles.head_u + listed_u)
    group_u = np.full(len(listed_u), -1)
    group_u[defined_u] = group_of(profiles.head_u[defined_u], FIFTHS)
    masks = [group_u == group for group in range(3)]
    rated, listed = ([of[mask].mean() if mask.any() else np.nan for mask in masks]
                     for of in (profiles.popularity_u, listed_u))  # fmt: skip
    return [float(ratio(after - before, before)) for before, after in zip(rated, listed, strict=True)]


def group_of(value_u: NDArray[np.floating], shares: tuple[float, float]) -> NDArray[np.int64]:
    """Return the group of each user, 0 to 2, by quantiles of a value, which belong to the outer groups.

    Equal values are in one group.

    >>> group_of(np.array([1.0, 2, 2, 3, 9, 9]), (0.2, 0.8))
    array([0, 0, 0, 1, 2, 2])
    >>> group_of(np.array([0.5, 0.6, 1, 1, 1, 1]), (0.2, 0.8))
    array([0, 0, 2, 2, 2, 2])
    """
    low, high = np.quantile(value_u, shares, method="inverted_cdf") if len(value_u) else np.zeros(2)
    return (value_u > low) * (1 + (value_u >= high))


def profiles(rows: Any, users: NDArray[np.integer], count_i: NDArray[np.integer]) -> Profiles:
    """Return what each of the users, ascending (U,), has rated; `rows` are sorted by user."""
    n_u = rows.indptr[users + 1] - rows.indptr[users]
    owner, sums = np.repeat(np.arange(len(users)), n_u), np.zeros((2, len(users)))
    columns, done = (count_i, is_in_head(count_i)), 0
    for some in user_blocks(rows, users):
        of, done = owner[done : done + len(some)], done + len(some)
        sums += [np.bincount(of, column_i[rows.item[some]], minlength=len(users)) for column_i in columns]
    popularity_u, head_u = ratio(sums, n_u)
    return Profiles(n_u.astype(np.float64), popularity_u, head_u)


def genre_shares(genres_ig: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 / n for each of an item's n genres, (I, G).

    >>> genre_shares(example_statistics().genres_ig)[:2]
    array([[1. , 0. , 0. ],
           [0.5, 0.5, 0. ]])
    """
    return genres_ig / np.maximum(genres_ig.sum(axis=1, keepdims=True), 1)


def count_items(rows: Any, users: NDArray[np.integer], n_items: int) -> NDArray[np.int64]:
    """Return how many of the users, ascending (U,), have each item, int64 (I,); `rows` are sorted by user."""
    counts = np.zeros(n_items, dtype=np.int64)
    for some in user_blocks(rows, users):
        counts += np.bincount(rows.item[some], minlength=n_items)
    return counts


def tastes(rows: Any, users: NDArray[np.integer], shares_ig: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the share of each genre in the rows of users, float32 (U, G); NaN for those without any genre."""
    total_ug = np.zeros((len(users), shares_ig.shape[1]), dtype=np.float32)
    start, stop = rows.indptr[users], rows.indptr[users + 1]
    for row, (first, last) in enumerate(zip(start.tolist(), stop.tolist(), strict=True)):
        total_ug[row] = shares_ig[rows.item[first:last]].sum(axis=0)
    return ratio(total_ug, total_ug.sum(axis=1, keepdims=True))


def user_blocks(rows: Any, users: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of the rows of users, for some users at once."""
    for first in range(0, len(users), USERS_AT_ONCE):
        some = users[first : first + USERS_AT_ONCE]
        start, n = rows.indptr[some], rows.indptr[some + 1] - rows.indptr[some]
        yield np.repeat(start - (n.cumsum() - n), n) + np.arange(n.sum())
