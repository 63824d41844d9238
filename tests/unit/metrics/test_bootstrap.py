import numpy as np
import pytest

from anirec.metrics.rating import rmse
from anirec.metrics.resampling import assign_to_bags, percentile_interval, resampled_sums, sum_by_bag


def test_agrees_with_resampling_the_rows_of_every_drawn_user() -> None:
    random = np.random.default_rng(0)
    user = np.sort(random.integers(60, size=900))
    error = random.normal(size=900) * (1 + user / 60)
    statistics = np.stack([np.bincount(user), np.bincount(user, weights=error**2)], axis=1).astype(float)
    n_b, squares_b = resampled_sums(statistics, resamples=4000).T
    rows = [np.flatnonzero(user == one) for one in range(60)]
    slow = [
        rmse(error[drawn], np.zeros(len(drawn)))
        for drawn in (np.concatenate([rows[one] for one in random.integers(60, size=60)]) for _ in range(4000))
    ]
    assert percentile_interval((squares_b / n_b) ** 0.5) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.01)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        values = random.exponential(size=(300, 1))
        low, high = percentile_interval(resampled_sums(values, resamples=400)[:, 0] / 300)
        covered += low < 1 < high
    assert 180 <= covered <= 198


def test_same_seed_same_interval_and_same_draws_for_every_model() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 50, 1))
    together = resampled_sums(np.hstack([a, b]), seed=5)
    assert (together == resampled_sums(np.hstack([a, b]), seed=5)).all()
    assert together == pytest.approx(np.hstack([resampled_sums(a, seed=5), resampled_sums(b, seed=5)]))
    assert (together[:, :1] != resampled_sums(a, seed=6)).any()


def test_bags_of_many_users_give_the_same_width() -> None:
    values = np.random.default_rng(3).exponential(size=(40_000, 1))
    sums = resampled_sums(values, max_units=4_000)
    assert sum_by_bag(values, assign_to_bags(len(values), 100, seed=0)).sum() == pytest.approx(values.sum())
    assert sums.std() == pytest.approx(values.std() * np.sqrt(40_000), rel=0.08)


def test_undefined_in_one_resample_is_an_undefined_interval() -> None:
    assert np.isnan(percentile_interval(np.array([1.0, np.nan, 2.0]))).all()
