import numpy as np
import pytest
import scipy.stats
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st

from anirec.metrics.bootstrap import draw_counts, percentile_interval, resampled_order
from anirec.metrics.definition import OrderMetric
from anirec.metrics.rank_correlation import MAX_PAIRED_ROWS, kendall, spearman

REFERENCES = {spearman: scipy.stats.spearmanr, kendall: scipy.stats.kendalltau}
scores = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=3, max_size=30)
both = pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)


def titles(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions and scores with ties, of titles in clusters of about two."""
    random = np.random.default_rng(0)
    target = random.normal(6.6, 0.9, size=n).round(1)
    prediction = (6.6 + 0.4 * (target - 6.6) + random.normal(0, 0.5, size=n)).round(1)
    return prediction, target, np.unique(random.integers(n // 2, size=n), return_inverse=True)[1]


@both
@pytest.mark.filterwarnings("ignore:An input array is constant")
@given(pairs=scores, seed=st.integers(0, 100))
def test_resamples_agree_with_scipy_on_the_drawn_rows(metric: OrderMetric, pairs: list, seed: int) -> None:
    prediction, target = np.array(pairs, dtype=float).T
    counts = draw_counts(len(target), 5, seed)
    expected = [
        REFERENCES[metric](np.repeat(prediction, count), np.repeat(target, count)).statistic for count in counts
    ]
    assert metric.resampled(prediction, target, counts) == pytest.approx(expected, nan_ok=True, abs=1e-12)
    once = np.ones((1, len(target)), dtype=int)
    assert metric(prediction, target) == pytest.approx(metric.resampled(prediction, target, once)[0], nan_ok=True)


@both
def test_interval_is_that_of_a_brute_force_bootstrap_over_clusters(metric: OrderMetric) -> None:
    prediction, target, cluster = titles(300)
    n_clusters = cluster.max() + 1
    random = np.random.default_rng(7)
    rows = [np.flatnonzero(cluster == one) for one in range(n_clusters)]
    slow = []
    for _ in range(1000):
        drawn = np.concatenate([rows[one] for one in random.integers(n_clusters, size=n_clusters)])
        slow.append(REFERENCES[metric](prediction[drawn], target[drawn]).statistic)
    fast = percentile_interval(resampled_order(metric, prediction, target, unit=cluster, n_units=n_clusters))
    assert fast == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.015)


def test_agrees_with_torchmetrics() -> None:
    prediction, target, _ = titles(400)
    tensors = torch.from_numpy(prediction), torch.from_numpy(target)
    assert spearman(prediction, target) == pytest.approx(float(torchmetrics.functional.spearman_corrcoef(*tensors)))
    expected = float(torchmetrics.functional.kendall_rank_corrcoef(*tensors, variant="b"))
    assert kendall(prediction, target) == pytest.approx(expected)


@both
def test_too_few_or_equal_values_are_undefined_without_a_warning(metric: OrderMetric) -> None:
    assert np.isnan(metric([7.0], [8.0]))
    assert np.isnan(metric([7.0, 7.0, 7.0], [6.0, 8.0, 9.0]))


def test_spearman_bags_many_rows_and_kendall_declines_them() -> None:
    prediction, target, cluster = titles(MAX_PAIRED_ROWS + 1)
    settings = {"unit": cluster, "n_units": cluster.max() + 1, "resamples": 100}
    whole, bagged = (
        resampled_order(spearman, prediction, target, max_units=units, **settings) for units in (10_000, 500)
    )
    assert bagged.mean() == pytest.approx(whole.mean(), abs=0.01)
    assert bagged.std() == pytest.approx(whole.std(), rel=0.3)
    assert np.isnan(resampled_order(kendall, prediction, target, **settings)).all()
