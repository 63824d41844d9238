"""Ratios of what does not vary are undefined, whatever rounding leaves: against exact fractions."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anirec.inference.lists import min_max_scale
from anirec.metrics.beyond_accuracy import ItemStatistics, gini
from anirec.metrics.rank_correlation import kendall, spearman
from anirec.metrics.ranking import average_precision, ndcg, recall
from anirec.metrics.rating import pearson, r2, unit_mae, unit_mse
from anirec.metrics.resampling import resampled_order
from anirec.metrics.variation import is_constant, standard_deviation, to_float64

CORRELATIONS = [pearson, spearman, kendall]
# In float32, whole numbers at 10,000 are more than rounding apart; in float64, at 1e9 too.
OFFSETS = {np.float32: [0.0, 1e4], np.float64: [0.0, 1e4, 1e9]}
columns = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12)


def exact_sums(prediction: Any, target: Any) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Summed squared errors, and deviations: of predictions, of targets, of both."""
    p, t = ([Fraction(float(value)) for value in column] for column in (prediction, target))
    p_mean, t_mean = sum(p) / len(p), sum(t) / len(t)
    return (
        sum((x - y) ** 2 for x, y in zip(p, t, strict=True)),
        sum((x - p_mean) ** 2 for x in p),
        sum((y - t_mean) ** 2 for y in t),
        sum((x - p_mean) * (y - t_mean) for x, y in zip(p, t, strict=True)),
    )


@pytest.mark.parametrize(("dtype", "offset"), [(dtype, offset) for dtype in OFFSETS for offset in OFFSETS[dtype]])
@given(pairs=columns, scale=st.sampled_from([1.0, 0.1, 1 / 3]))
@settings(max_examples=60, deadline=None)
def test_r2_and_pearson_are_those_of_exact_arithmetic(pairs: Any, scale: float, dtype: Any, offset: float) -> None:
    prediction, target = (np.asarray(column, float) * scale + offset for column in zip(*pairs, strict=True))
    prediction, target = prediction.astype(dtype), target.astype(dtype)
    squares, of_p, of_t, of_both = exact_sums(prediction, target)
    if of_t == 0:
        assert np.isnan(r2(prediction, target))
    else:
        assert r2(prediction, target) == pytest.approx(float(1 - squares / of_t), rel=1e-9, abs=1e-9)
    if of_p == 0 or of_t == 0:
        assert all(np.isnan(metric(prediction, target)) for metric in CORRELATIONS)
    else:
        expected = float(of_both) / float(of_p * of_t) ** 0.5
        assert pearson(prediction, target) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("constant", [7.1, 6.6123, 1 / 3, 1e9 + 0.1, 0.0])
@pytest.mark.parametrize("n", [3, 1286])
def test_r2_of_a_constant_truth_is_undefined_not_huge(constant: float, n: int) -> None:
    prediction = np.random.default_rng(0).normal(6.6, 0.9, n)
    assert np.isnan(r2(prediction, np.full(n, constant)))
    assert np.isnan(r2(prediction.astype(np.float32), np.full(n, constant, np.float32)))


@pytest.mark.parametrize("metric", CORRELATIONS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_that_was_computed_in_several_ways_correlates_with_nothing(metric: Any, dtype: Any) -> None:
    target = np.random.default_rng(0).normal(6.6, 0.9, 200).astype(dtype)
    last_digits = np.random.default_rng(1).integers(-1, 2, 200) * np.finfo(dtype).eps * 7
    same = (dtype(7.1) + last_digits).astype(dtype)
    assert len(np.unique(same)) > 1
    assert np.isnan(metric(same, target))
    assert np.isnan(metric(target, same))


def test_resamples_that_draw_equal_targets_alone_are_undefined() -> None:
    """Sums over such a resample leave rounding, though the whole column varies."""
    target, prediction = np.array([7.3, 7.3, 7.3, 1.1]), np.array([6.9, 7.2, 7.7, 2.0])
    terms = np.stack([np.ones(4), *r2.summands(prediction, target)], axis=1)
    counts = np.array([[3, 1, 2, 0], [0, 7, 0, 0], [1, 1, 1, 1]])
    first, second, whole = r2.value(*(counts @ terms).T)
    assert np.isnan([first, second]).all()
    assert whole == pytest.approx(r2(prediction, target))


@pytest.mark.parametrize("metric", [spearman, kendall], ids=lambda metric: metric.name)
def test_resampled_correlations_ignore_rounding_too(metric: Any) -> None:
    same = (np.float32(7.1) + np.array([0, 5e-7, 0, 5e-7, 0])).astype(np.float32)
    target = np.arange(5.0)
    values = resampled_order(metric, same, target, unit=np.arange(5), n_units=5, resamples=20)
    assert np.isnan(values).all()


def test_errors_on_a_scale_without_length_are_undefined() -> None:
    assert np.isnan([metric([7.0, 8.0], [7.0, 7.0], 0.0) for metric in (unit_mse, unit_mae)]).all()


def test_metrics_of_no_row_are_undefined() -> None:
    nothing = np.empty(0, np.float32)
    assert np.isnan([r2(nothing, nothing), pearson(nothing, nothing), unit_mse(nothing, nothing, 5.0)]).all()


@pytest.mark.parametrize("metric", [ndcg, recall, average_precision])
def test_users_without_a_relevant_item_have_no_share_of_them(metric: Any) -> None:
    hits = np.array([[True, False], [False, False], [False, False]])
    value = metric(hits, np.array([1, 1, 0]))
    assert value[:2].tolist() == [1.0, 0.0]
    assert np.isnan(value[2])


def test_nothing_recommended_is_neither_equal_nor_unequal() -> None:
    catalogue = ItemStatistics(np.array([3, 1]), n_users=3, genres_ig=np.zeros((2, 0), bool))
    assert np.isnan(gini(np.full((2, 3), -1), catalogue))


def test_scores_equal_up_to_rounding_are_not_stretched() -> None:
    scores = np.array([7.1, np.nextafter(np.float32(7.1), np.float32(8)), 7.1], np.float32)
    assert min_max_scale(scores).tolist() == [0.0, 0.0, 0.0]


def test_constants_are_recognised_in_the_precision_of_their_type() -> None:
    near = np.array([1e6, 1e6 + 0.25])
    assert is_constant(near.astype(np.float32))
    assert not is_constant(near)
    assert to_float64(near).tolist() == near.tolist()
    assert not is_constant(np.array([2**53, 2**53 - 1]))
    assert standard_deviation(np.array([[1.0, 2.0], [3.0, 2.0]])).tolist() == [1.0, 1.0]
