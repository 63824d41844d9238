from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anirec.metrics.beyond_accuracy import ItemStatistics, coverage, diversity, gini, novelty, popularity

N_ITEMS = 12
lists = st.lists(st.permutations(range(N_ITEMS)).map(lambda order: order[:5]), min_size=1, max_size=8).map(np.array)
genres = arrays(bool, (N_ITEMS, 4))


def catalogue(genres_ig: np.ndarray | None = None) -> ItemStatistics:
    counts = np.arange(N_ITEMS) ** 2
    return ItemStatistics(
        counts, n_users=200, genres_ig=np.eye(N_ITEMS, dtype=bool) if genres_ig is None else genres_ig
    )


def naive_diversity(items: list[int], genres_ig: np.ndarray) -> float:
    sets = [frozenset(np.flatnonzero(genres_ig[item])) for item in items if item >= 0 and genres_ig[item].any()]
    distances = [1 - len(a & b) / len(a | b) for a, b in combinations(sets, 2)]
    return float(np.mean(distances)) if distances else float("nan")


@given(items=lists, genres_ig=genres, short=st.booleans())
def test_diversity_agrees_with_a_loop_over_pairs(items: np.ndarray, genres_ig: np.ndarray, short: bool) -> None:
    if short:
        items[0, 2:] = -1
    expected = [naive_diversity(row, genres_ig) for row in items.tolist()]
    assert diversity(items, catalogue(genres_ig)) == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(items=lists)
def test_gini_is_the_mean_difference_over_twice_the_mean(items: np.ndarray) -> None:
    times = np.bincount(items.ravel(), minlength=N_ITEMS)
    expected = np.abs(times[:, None] - times).mean() / (2 * times.mean())
    assert gini(items, catalogue()) == pytest.approx(expected)


def test_recommending_everything_equally_is_full_coverage_without_inequality() -> None:
    items = np.arange(N_ITEMS).reshape(3, 4)
    assert coverage(items, catalogue()) == 1
    assert gini(items, catalogue()) == 0


def test_the_obvious_is_popular_and_not_novel() -> None:
    obvious, rare = np.array([[11, 10]]), np.array([[1, 0]])
    assert popularity(obvious, catalogue()) == (121 + 100) / 2
    assert popularity(rare, catalogue()) == 0.5
    assert novelty(obvious, catalogue())[0] < 1 < novelty(rare, catalogue())[0]
    assert novelty(rare, catalogue()) == pytest.approx(np.log2(200)), "an unrated item counts as rated once"


def test_missing_places_of_short_lists_count_for_nothing() -> None:
    whole, short = np.array([[7, 3]]), np.array([[7, 3, -1, -1]])
    for metric in (coverage, gini, novelty, popularity, diversity):
        assert metric(whole, catalogue()) == metric(short, catalogue())
