"""Bias model: offsets with and without data."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.one_pass import History
from anirec.models.ratings.bias import Baseline, Bias


def history(*rows: tuple[int, int, float]) -> History:
    made = History(n_users=3)
    user, item, rating = (torch.tensor(column) for column in zip(*rows, strict=True))
    made.append(RatingBatch(user, item, rating))
    made.close()
    return made


def test_without_damping_offsets_explain_additive_ratings() -> None:
    rows = history((0, 0, 8.0), (0, 1, 6.0), (1, 0, 6.0), (1, 1, 4.0))
    baseline = Baseline(n_users=3, n_items=2)
    baseline.fit(rows, damping_user=0, damping_item=0)
    torch.testing.assert_close(baseline.user, torch.tensor([1.0, -1.0, 0.0, 0.0]))
    torch.testing.assert_close(baseline.item, torch.tensor([1.0, -1.0, 0.0]))


def test_unrated_rows_do_not_count() -> None:
    nan = float("nan")
    with_unrated, without = Baseline(3, 2), Baseline(3, 2)
    with_unrated.fit(history((0, 0, 8.0), (0, 1, nan), (1, 1, 4.0)), damping_user=1, damping_item=1)
    without.fit(history((0, 0, 8.0), (1, 1, 4.0)), damping_user=1, damping_item=1)
    torch.testing.assert_close(with_unrated.item, without.item)


def test_ratings_stay_within_the_range_of_the_training_ratings() -> None:
    baseline = Baseline(n_users=3, n_items=2)
    baseline.fit(history((0, 0, 10.0), (0, 1, 9.0), (1, 0, 10.0)), damping_user=0, damping_item=0)
    assert baseline(torch.tensor([0]), torch.tensor([0])) <= 10


def test_an_unknown_id_has_offset_0(planted, fit) -> None:
    model = Bias(damping_user=5.0, damping_item=5.0)
    fit(model, planted)
    unknown = torch.tensor([-1, 4, -1])
    predicted = model(RatingBatch(unknown, torch.tensor([2, -1, -1]), unknown.float()))
    offsets = model.baseline
    torch.testing.assert_close(
        predicted, offsets.mean + torch.stack([offsets.item[2], offsets.user[4], torch.zeros(())])
    )


def test_offsets_of_implicit_feedback_are_zero() -> None:
    offsets = Baseline(3, 2)
    offsets.fit(history((0, 0, float("nan"))), damping_user=1, damping_item=1)
    assert not any(map(torch.any, (offsets.mean, offsets.user, offsets.item)))


def test_a_model_of_ratings_refuses_data_without_any(planted, fit) -> None:
    unrated = copy(planted)
    unrated.train = replace(planted.train, rating=np.full_like(planted.train.rating, np.nan))
    with pytest.raises(UserError, match="Bias learns from ratings, and no training row has a rating"):
        fit(Bias(damping_user=5.0, damping_item=5.0), unrated)


def test_the_checkpoint_does_not_carry_the_ratings(planted, fit) -> None:
    model = Bias(damping_user=5.0, damping_item=5.0)
    fit(model, planted)
    assert len(model.state_dict()["history.rating"]) == 0
