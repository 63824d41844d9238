from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anirec.metrics.conformal import half_width, min_calibration_size, prediction_interval


@settings(deadline=None, max_examples=20)
@given(n=st.integers(9, 200), level=st.sampled_from([0.5, 0.8, 0.9]), seed=st.integers(0, 1000))
def test_mean_coverage_of_exchangeable_errors_is_the_promised_one(n: int, level: float, seed: int) -> None:
    """Lei et al. 2018: at least `level`, and at most 1 / (n + 1) more, where no two errors are equal."""
    random = np.random.default_rng(seed)
    errors = random.standard_t(3, size=(2000, n + 1))  # heavy tails: no normal quantile would do
    covered = np.mean([abs(one[-1]) <= half_width(one[:-1], level) for one in errors])
    noise = 4 * np.sqrt(level * (1 - level) / len(errors))
    assert level - noise <= covered <= level + 1 / (n + 1) + noise


@given(errors=st.lists(st.floats(-9, 9), min_size=1, max_size=60), level=st.sampled_from([0.1, 0.5, 0.9, 0.95]))
def test_agrees_with_the_quantile_it_is_defined_by(errors: list[float], level: float) -> None:
    n = len(errors)
    if n < min_calibration_size(level):
        assert half_width(errors, level) == inf
    else:
        share = min(1.0, ceil(round((n + 1) * level, 9)) / n)
        assert half_width(errors, level) == np.quantile(np.abs(errors), share, method="inverted_cdf")


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_fewest_is_the_first_that_can_promise(level: float) -> None:
    n = min_calibration_size(level)
    assert half_width(np.ones(n), level) == 1
    assert half_width(np.ones(n - 1), level) == inf


def test_intervals_stay_on_the_scale() -> None:
    low, high = prediction_interval(np.array([0.2, 5.5, 11.0]), 2.0)
    assert low.tolist() == [1.0, 3.5, 9.0]
    assert high.tolist() == [2.2, 7.5, 10.0]
