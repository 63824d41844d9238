import numpy as np
import pytest
from scipy.stats import kstest, wilcoxon

from anirec.metrics.resampling import holm, p_value, rank_biserial, resampled_sums


def rmse_p_value(random: np.random.Generator, better_by: float) -> float:
    """Of two models, equally good unless `better_by` is set, for 150 users with one to eight rows each."""
    n_u = random.integers(1, 9, size=150)
    truth_u = random.exponential(size=150)
    squares_um = [n_u * (truth_u + bias + random.gamma(2.0, size=150)) for bias in (better_by, 0.0)]
    statistics = np.stack([n_u, *squares_um], axis=1).astype(float)
    n, first, second = statistics.sum(axis=0)
    n_b, first_b, second_b = resampled_sums(statistics, resamples=399, seed=int(random.integers(1 << 30))).T
    return p_value((first / n) ** 0.5 - (second / n) ** 0.5, (first_b / n_b) ** 0.5 - (second_b / n_b) ** 0.5)


def test_p_values_of_equal_models_are_uniform() -> None:
    random = np.random.default_rng(0)
    p = np.array([rmse_p_value(random, better_by=0.0) for _ in range(400)])
    assert kstest(p, "uniform").pvalue > 0.05
    assert 0.03 <= (p < 0.05).mean() <= 0.08


def test_a_better_model_is_found_better() -> None:
    random = np.random.default_rng(1)
    p = np.array([rmse_p_value(random, better_by=-0.7) for _ in range(50)])
    assert (p < 0.05).mean() > 0.9


def test_identical_models_have_p_1_and_none_has_p_0() -> None:
    assert p_value(0.0, np.zeros(999)) == 1.0
    assert p_value(5.0, np.random.default_rng(2).normal(5.0, 0.1, size=999)) == 1 / 1000


def test_holm_steps_down_through_the_sorted_p_values() -> None:
    """The example of Holm's correction: each is compared with the level over the number of tests that are left."""
    p = np.array([0.01, 0.005, 0.03, 0.04])
    assert holm(p) == pytest.approx([3 * 0.01, 4 * 0.005, 2 * 0.03, 2 * 0.03])
    random = np.random.default_rng(3).uniform(0, 0.2, size=20)
    for level in (0.01, 0.05, 0.2):
        ordered = np.sort(random)
        n_rejected = next((i for i, one in enumerate(ordered) if one >= level / (20 - i)), 20)
        assert (holm(random) < level).sum() == n_rejected


def test_holm_exceeds_neither_1_nor_keeps_p_below_what_it_was() -> None:
    p = np.array([0.9, 0.4, 0.7])
    assert holm(p).max() == 1.0
    assert (holm(p) >= p).all()
    assert len(holm(np.array([]))) == 0


def test_effect_is_wilcoxons_statistic_on_another_scale() -> None:
    gain = np.round(np.random.default_rng(4).normal(0.2, 1.0, size=300), 1)  # with ties and zeros
    n = np.count_nonzero(gain)
    smaller = wilcoxon(gain).statistic
    assert rank_biserial(gain) == pytest.approx(1 - 4 * smaller / (n * (n + 1)))
    assert rank_biserial(-gain) == pytest.approx(-rank_biserial(gain))


def test_effect_of_no_difference_is_0_and_of_all_better_1() -> None:
    assert rank_biserial(np.zeros(5)) == 0.0
    assert rank_biserial(np.array([0.1, 0.0, 3.0])) == 1.0
