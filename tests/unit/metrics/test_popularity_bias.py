"""Popularity bias and calibration against naive references, item by item and user by user."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.metrics.beyond_accuracy import ItemStatistics
from anirec.metrics.popularity_bias import (
    Profiles,
    RankedUsers,
    aclt,
    aplt,
    count_items,
    genre_shares,
    is_in_head,
    lift_blockbuster,
    lift_diverse,
    lift_niche,
    miscalibration,
    pop_reo,
    pop_rsp,
    profiles,
    tastes,
    user_mad,
)

N_ITEMS, N_GENRES, K = 14, 3, 4


class Rows:
    """Interactions of six users, sorted by user."""

    def __init__(self, random: np.random.Generator) -> None:
        self.of_user = [sorted(random.permutation(N_ITEMS)[: random.integers(0, 6)].tolist()) for _ in range(6)]
        self.item = np.array([item for items in self.of_user for item in items], dtype=np.int32)
        self.indptr = np.append(0, np.cumsum([len(items) for items in self.of_user]))


@given(st.integers(0, 10_000))
def test_all_agree_with_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, users = Rows(random), np.array([0, 2, 3, 5])
    count_i = random.integers(0, 9, N_ITEMS)
    genres_ig = random.random((N_ITEMS, N_GENRES)) < 0.5
    items_uk = np.array([random.permutation([*range(N_ITEMS), -1])[:K] for _ in users])
    wanted = [set(random.permutation(N_ITEMS)[:5].tolist()) for _ in users]
    hits_uk = np.array([[item in own for item in items] for items, own in zip(items_uk, wanted, strict=True)])
    relevant_i = np.array([sum(item in own for own in wanted) for item in range(N_ITEMS)])
    statistics = ItemStatistics(count_i, n_users=9, genres_ig=genres_ig)
    seen_i, taste_ug = count_items(rows, users, N_ITEMS), tastes(rows, users, genre_shares(genres_ig))
    n_relevant_u, of_users = np.array([len(own) for own in wanted]), profiles(rows, users, count_i)
    ranked = RankedUsers(hits_uk, relevant_i, lambda: seen_i, lambda: taste_ug, n_relevant_u, lambda: of_users)

    tail = set(np.flatnonzero(~is_in_head(count_i)).tolist())
    lists = [[item for item in items if item >= 0] for items in items_uk.tolist()]
    assert aclt(items_uk, statistics).tolist() == [sum(item in tail for item in items) for items in lists]
    assert aplt(items_uk, statistics) == pytest.approx([np.mean([item in tail for item in items]) for items in lists])
    chances, recalls = [], []
    for group in (set(range(N_ITEMS)) - tail, tail):
        unseen = sum(item not in rows.of_user[user] for user in users for item in group)
        chances.append(sum(item in group for items in lists for item in items) / unseen if unseen else np.nan)
        found = sum(len(group & own & {*items}) for items, own in zip(lists, wanted, strict=True))
        relevant = sum(len(group & own) for own in wanted)
        recalls.append(found / relevant if relevant else np.nan)
    for metric, values in ((pop_rsp, chances), (pop_reo, recalls)):
        expected = np.std(values) / np.mean(values) if np.mean(values) > 0 else np.nan
        assert metric(items_uk, statistics, ranked) == pytest.approx(expected, nan_ok=True)
    expected = [divergence(rows.of_user[user], items, genres_ig) for user, items in zip(users, lists, strict=True)]
    assert miscalibration(items_uk, statistics, ranked) == pytest.approx(expected, nan_ok=True, abs=1e-5)

    listed = [np.mean(count_i[items]) if items else np.nan for items in lists]
    values = [
        sum(1 / np.log2(2 + rank) for rank in np.flatnonzero(hits)) / sum(1 / np.log2(2 + rank) for rank in range(K))
        for hits in hits_uk
    ]
    sizes = [len(rows.of_user[user]) for user in users]
    means = [np.mean(one) for one in grouped(values, sizes, 1 / 3, 2 / 3) if one]
    gaps = [abs(means[a] - means[b]) for a in range(len(means)) for b in range(a)]
    assert user_mad(items_uk, statistics, ranked) == pytest.approx(np.mean(gaps) if gaps else np.nan, nan_ok=True)
    kept = [place for place, user in enumerate(users) if rows.of_user[user] and lists[place]]
    heads = [np.mean([item not in tail for item in rows.of_user[users[place]]]) for place in kept]
    rated = [np.mean(count_i[rows.of_user[users[place]]]) for place in kept]
    groups = zip(
        grouped(rated, heads, 0.2, 0.8), grouped([listed[place] for place in kept], heads, 0.2, 0.8), strict=True
    )
    lifts = [(np.mean(of) - np.mean(own)) / np.mean(own) if any(own) else np.nan for own, of in groups]
    for metric, lift in zip((lift_niche, lift_diverse, lift_blockbuster), lifts, strict=True):
        assert metric(items_uk, statistics, ranked) == pytest.approx(lift, nan_ok=True)


def grouped(values: list[float], by: list[float], low: float, high: float) -> list[list[float]]:
    """Return the values of the users up to the quantile `low` of another value, between, and from `high` on."""
    ordered = sorted(by)
    edges = [ordered[int(np.ceil(share * len(by))) - 1] for share in (low, high)] if by else [0, 0]
    place = [0 if one <= edges[0] else 2 if one >= edges[1] else 1 for one in by]
    return [[value for value, group in zip(values, place, strict=True) if group == n] for n in range(3)]


def divergence(history: list[int], listed: list[int], genres_ig: np.ndarray) -> float:
    """Return equation 5 of Steck (2018)."""

    def distribution(items: list[int]) -> np.ndarray:
        weights = sum((genres_ig[item] / max(1, genres_ig[item].sum()) for item in items), np.zeros(N_GENRES))
        return weights / weights.sum() if weights.sum() else np.full(N_GENRES, np.nan)

    p, q = distribution(history), distribution(listed)
    if np.isnan(p + q).any():
        return float("nan")
    return sum(p_g * np.log(p_g / (0.99 * q_g + 0.01 * p_g)) for p_g, q_g in zip(p, q, strict=True) if p_g)


def test_the_head_has_most_ratings_and_equal_counts_are_on_one_side() -> None:
    assert is_in_head(np.array([80, 10, 10])).tolist() == [True, False, False]
    assert is_in_head(np.array([5, 5, 5, 5, 0])).tolist() == [True] * 4 + [False]
    assert not is_in_head(np.zeros(3, dtype=int)).any()


def test_lists_of_everything_alike_have_no_bias() -> None:
    statistics = ItemStatistics(np.array([8, 2]), n_users=10, genres_ig=np.ones((2, 1), dtype=bool))
    own = Profiles(np.array([1.0, 1]), np.array([8.0, 8]), np.array([1.0, 1]))
    hits, tastes_ug = np.ones((2, 2), bool), np.ones((2, 1))
    users = RankedUsers(hits, np.array([2, 2]), lambda: np.zeros(2, int), lambda: tastes_ug, hits.sum(1), lambda: own)
    assert pop_rsp(np.array([[0, 1], [1, 0]]), statistics, users) == 0
    assert pop_reo(np.array([[0, 1], [1, 0]]), statistics, users) == 0
    assert pop_rsp(np.array([[0], [0]]), statistics, users) == 1
