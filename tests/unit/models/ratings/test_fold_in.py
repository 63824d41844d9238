"""New users get the scores of training users with the same history."""

from math import nan

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.ease import EASE
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.kernels import Rates, fit_new_user
from anirec.models.ratings.popularity import Popularity

from .test_item_knn import SETTINGS

EXACT = [
    EASE(reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0),
    ItemKNN(**SETTINGS),
    Popularity(damping=5.0),
    Bias(damping_user=5.0, damping_item=5.0),
]


@pytest.mark.parametrize("model", EXACT, ids=lambda model: type(model).__name__)
def test_the_same_history_gives_the_same_scores(planted, fit, model: RatingModel) -> None:
    fit(model, planted)
    rows = model.training_rows(planted)
    folded = model.fold_in(rows.rows(0, len(rows)), planted.n_users)  # type: ignore[operator]
    torch.testing.assert_close(folded, model.score_items(torch.arange(planted.n_users)), rtol=0, atol=2e-3)


def test_long_training_converges_to_the_ridge_regression() -> None:
    random = np.random.default_rng(0)
    q, left = random.normal(size=(12, 3)), random.normal(size=12)
    x, penalty = np.column_stack([np.ones(12), q]), np.diag([0.02, 0.1, 0.1, 0.1])
    expected = np.linalg.solve(x.T @ x + 12 * penalty, x.T @ left)
    arguments = torch.tensor(q).float(), torch.tensor(left).float()
    offset, factors = fit_new_user(*arguments, Rates(lr=1e4, reg=0.1, reg_bias=0.02))
    np.testing.assert_allclose([float(offset), *factors.tolist()], expected, rtol=1e-4)
    half_way = fit_new_user(*arguments, Rates(lr=0.01, reg=0.1, reg_bias=0.02))[1]
    assert 0 < half_way.norm() < 0.5 * factors.norm()


def test_more_factors_than_ratings_without_penalty_are_solved() -> None:
    offset, factors = fit_new_user(torch.ones(1, 4), torch.tensor([2.0]), Rates(lr=1e3, reg=0.0, reg_bias=0.0))
    assert float(offset + factors.sum()) == pytest.approx(2.0, abs=1e-3)


def test_a_new_users_factors_are_those_of_training(planted, fit) -> None:
    """They equal the result of SGD with small steps and fixed items."""
    random = np.random.default_rng(1)
    q, left = random.normal(size=(5, 2)), random.normal(size=5)
    offset, p = 0.0, np.zeros(2)
    for _ in range(300):
        for row in range(5):
            error = left[row] - offset - p @ q[row]
            offset, p = offset + 1e-3 * (error - 0.02 * offset), p + 1e-3 * (error * q[row] - 0.1 * p)
    found, factors = fit_new_user(torch.tensor(q).float(), torch.tensor(left).float(), Rates(0.3, 0.1, 0.02))
    np.testing.assert_allclose([float(found), *factors.tolist()], [offset, *p], atol=5e-3)


def test_new_users_without_ratings_get_the_scores_of_unknown_users(planted, fit) -> None:
    model = Bias(damping_user=0.0, damping_item=0.0)
    fit(model, planted)
    seen = RatingBatch(torch.tensor([0, 1]), torch.tensor([3, 4]), torch.tensor([nan, nan]))
    torch.testing.assert_close(model.fold_in(seen, 2), model.score_items(torch.tensor([-1, -1])))
