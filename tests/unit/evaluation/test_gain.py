"""Gains: chance shows none, a real difference does, and the draws of both models are the same."""

import numpy as np
import pytest

from anirec.evaluation.gain import list_gain, row_gain
from anirec.metrics.rating import mae, rmse


def test_noise_shows_no_gain() -> None:
    random = np.random.default_rng(0)
    shown = []
    for _ in range(400):
        target, prediction, dummy = random.normal(size=(3, 120))
        shown.append(row_gain(rmse, prediction, dummy, target, unit=np.arange(120), unit_name="posts").is_shown)
    assert np.mean(shown) <= 0.05  # of a one-sided 2.5% test


def test_a_model_that_knows_something_shows_a_gain_and_its_opposite_a_loss() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=300)
    prediction = target + random.normal(size=300) / 2
    gain = row_gain(rmse, prediction, target.mean(), target, unit=np.arange(300) // 2, unit_name="franchises")
    assert gain.is_shown
    assert not gain.is_loss
    assert (gain.model, gain.dummy) == pytest.approx((rmse(prediction, target), target.std()))
    assert gain.interval[0] < gain.model - gain.dummy < gain.interval[1] < 0
    assert gain.n_units == 150
    assert "Better than the mean: RMSE" in gain.sentence("the mean", rows="300 titles")
    loss = row_gain(mae, -prediction, target.mean(), target, unit=np.arange(300), unit_name="titles")
    assert loss.is_loss
    assert loss.sentence("the mean", rows="300 titles").startswith("Worse than the mean: MAE")


def test_rows_of_one_unit_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    target = np.repeat(random.normal(size=20), 50)
    prediction = target * 0.5
    apart, together = (
        row_gain(rmse, prediction, 0.0, target, unit=unit, unit_name="titles").interval
        for unit in (np.arange(1000), np.arange(1000) // 50)
    )
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])


def test_the_dummy_itself_is_equal() -> None:
    target = np.arange(40.0)
    gain = row_gain(rmse, np.full(40, 3.0), 3.0, target, unit=np.arange(40), unit_name="posts")
    assert not gain.is_shown
    assert gain.sentence("the training mean", rows="40 test posts").startswith("Equal to the training mean: RMSE ")


def test_higher_is_better_for_lists() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.uniform(0.4, 0.6, size=50), random.uniform(0.1, 0.3, size=50)
    assert list_gain("ndcg", ours, theirs, shown_as="NDCG@10").is_shown
    assert list_gain("ndcg", theirs, ours, shown_as="NDCG@10").is_loss


def test_five_units_are_too_few() -> None:
    gain = list_gain("ndcg", np.ones(5), np.zeros(5), shown_as="NDCG@10")
    assert not gain.is_shown
    found = gain.sentence("chance", rows="5 lists")
    assert found.startswith("Beside chance: NDCG@10 1.000 on 5 lists")
    assert "(5 users: too few for an interval or a conclusion)" in found


def test_a_few_rows_of_many_units_have_no_interval() -> None:
    target = np.random.default_rng(0).normal(size=18)
    gain = row_gain(rmse, target, 0.0, target, unit=np.arange(18), unit_name="users")
    assert not gain.is_shown
    assert "95% interval" not in gain.sentence("title means", rows="18 test ratings")
