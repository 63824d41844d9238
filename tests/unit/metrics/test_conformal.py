from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anirec.metrics.conformal import METHODS, Calibration, half_width, min_calibration_size, prediction_interval


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


def planted(n: int, seed: int) -> tuple[Calibration, np.ndarray, np.ndarray, np.ndarray]:
    """Return a calibration, and true scores, predictions and noise of new titles, whose noise is 0.2 or 0.8 points."""
    random = np.random.default_rng(seed)
    noise = random.choice([0.2, 0.8], size=2 * n)
    prediction = random.normal(7, 0.5, size=2 * n)
    target = (prediction + random.normal(size=2 * n) * noise).clip(1, 10)
    old, new = slice(n), slice(n, None)
    calibration = Calibration(target[old], prediction[old], noise[old], edges=[5, 6, 7, 8], level=0.9)
    return calibration, target[new], prediction[new], noise[new]


@pytest.mark.parametrize("method", METHODS)
def test_exchangeable_titles_are_covered_as_promised(method: str) -> None:
    n = 4000
    calibration, target, prediction, noise = planted(n, seed=1)
    low, high = calibration.intervals(method, prediction, noise)
    coverage = np.mean((low <= target) & (target <= high))
    margin = 4 * np.sqrt(0.9 * 0.1 * 2 / n)  # calibration titles and new ones vary
    assert coverage >= 0.9 - margin
    if method != "banded":  # joins the scores of several bands
        assert coverage <= 0.9 + margin


def test_normalised_intervals_are_narrow_where_noise_is_small_and_hold_in_both_groups() -> None:
    calibration, target, prediction, noise = planted(4000, seed=2)
    covered, width = {}, {}
    for method in ("plain", "normalised"):
        low, high = calibration.intervals(method, prediction, noise)
        for level in (0.2, 0.8):
            mask = noise == level
            covered[method, level] = np.mean((low <= target)[mask] & (target <= high)[mask])
            width[method, level] = np.mean((high - low)[mask])
    assert width["normalised", 0.2] < 0.5 * width["plain", 0.2]
    assert covered["plain", 0.8] < 0.85 < 0.99 < covered["plain", 0.2]
    assert all(0.87 < covered["normalised", level] < 0.93 for level in (0.2, 0.8))


def test_banded_intervals_hold_in_every_band_of_true_scores() -> None:
    """A model that knows little predicts about the mean: plain intervals miss the best and the worst titles."""
    random = np.random.default_rng(3)
    target = random.normal(6.8, 0.9, size=8000).clip(1, 10)
    prediction = 6.8 + 0.3 * (target - 6.8) + random.normal(0, 0.3, size=8000)
    old, new = slice(4000), slice(4000, None)
    calibration = Calibration(target[old], prediction[old], np.ones(4000), edges=[5, 6, 7, 8], level=0.9)
    band = np.digitize(target[new], [5, 6, 7, 8])
    worst = {}
    for method in ("plain", "banded"):
        low, high = calibration.intervals(method, prediction[new], np.ones(4000))
        inside = (low <= target[new]) & (target[new] <= high)
        worst[method] = min(inside[band == number].mean() for number in range(5))
    assert worst["plain"] < 0.5
    assert worst["banded"] > 0.8


def test_weights_restore_the_coverage_of_titles_that_are_distributed_differently() -> None:
    """Three quarters of the new titles have a large error, of the calibration titles a quarter."""
    random = np.random.default_rng(4)
    is_hard = np.r_[random.random(4000) < 0.25, random.random(4000) < 0.75]
    target = 5 + random.normal(size=8000) * np.where(is_hard, 0.9, 0.2)
    prediction = np.full(8000, 5.0)
    calibration = Calibration(target[:4000], prediction[:4000], np.ones(4000), edges=[], level=0.9)
    ratio = np.where(is_hard, 3.0, 1 / 3)
    shares = []
    for weights in ({}, {"weights": ratio[:4000], "own_weights": ratio[4000:]}):
        low, high = calibration.intervals("plain", prediction[4000:], np.ones(4000), **weights)
        shares.append(np.mean((low <= target[4000:]) & (target[4000:] <= high)))
    assert shares[0] < 0.8
    assert shares[1] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_a_title_unlike_all_others_has_the_widest_interval_that_was_calibrated(method: str) -> None:
    calibration, _, prediction, noise = planted(400, seed=5)
    usual = calibration.intervals(method, prediction, noise)
    far = calibration.intervals(method, prediction, noise, own_weights=np.full(400, np.inf))
    assert (far[0] <= usual[0]).all()
    assert (far[1] >= usual[1]).all()
    assert ((far[1] - far[0]) > (usual[1] - usual[0])).all()
    largest = np.abs(calibration.error).max()
    assert (far[1] - prediction).max() <= largest * (4 if method == "normalised" else 1) + 1e-9


def test_widths_are_those_of_crepes() -> None:
    """Widths of crepes 0.9.1, `ConformalRegressor.fit(residuals, sigmas=..., bins=...)`, on the same data."""
    random = np.random.default_rng(3)
    x, prediction = random.uniform(0, 1, 200), np.full(200, 7.0)
    target = 7 + random.normal(size=200) * (0.2 + x)
    calibration = Calibration(target, prediction, 0.2 + x, edges=[6, 7, 8], level=0.9)
    by_band = [half_width(calibration.error[mask], 0.9) for *_, mask in calibration.bands()]
    assert by_band == pytest.approx([2.64656006, 0.85326633, 0.8280917, 1.88060479], rel=1e-8)
