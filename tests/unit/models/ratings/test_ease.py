"""EASE against its closed form, written with NumPy."""

from itertools import product
from math import nan

import numpy as np
import pytest
import torch

from anirec import notices
from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.one_pass import History
from anirec.models.ratings import ease
from anirec.models.ratings.ease import EASE

DAMPING = {"damping_user": 5.0, "damping_item": 5.0}


def test_scores_are_those_of_the_closed_form(planted, fit) -> None:
    model = EASE(reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0)
    fit(model, planted)
    rows = planted.train_and_unrated
    x_ui = np.zeros((planted.n_users, planted.n_items))
    x_ui[rows.user, rows.item] = model.baseline.preferences(rows.rows(0, len(rows)), planted.n_users)
    assert x_ui.min() < 0
    inverse = np.linalg.inv(x_ui.T @ x_ui + 5 * np.eye(planted.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    likes, dislikes = x_ui.clip(min=0), x_ui.clip(max=0)
    np.testing.assert_allclose(scores, likes @ weights + dislikes @ weights.clip(min=0), atol=1e-5)


def test_an_unknown_user_gets_popular_items(planted, fit) -> None:
    model = EASE(reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0)
    fit(model, planted)
    counts = torch.bincount(model.history.item, minlength=planted.n_items)  # all training interactions
    (scores,) = model.score_items(torch.tensor([-1]))
    assert (scores.diff()[counts.diff() > 0] > 0).all()


def test_ratings_are_those_of_the_bias_model(planted, fit) -> None:
    model = EASE(reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0)
    fit(model, planted)
    rows = planted.test.rows(0, len(planted.test))
    torch.testing.assert_close(model(rows), model.baseline(rows.user, rows.item))


def test_a_penalty_that_is_too_small_is_one_sentence(planted, fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EASE, "gram", lambda self: torch.zeros(self.n_items, self.n_items))
    with pytest.raises(UserError, match=r"^model\.reg=1e-300 is too small for these data: "):
        fit(
            EASE(
                reg=1e-300, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0
            ),
            planted,
        )


@pytest.mark.parametrize("n_items", [64, 100, 128, 150])
def test_scores_of_many_users_are_those_of_few(n_items: int) -> None:
    """They are summed tile by tile, in the same order. User 3 has no rows, and user -1 is unknown."""
    random, n_users = np.random.default_rng(0), 90
    pairs = random.random((n_users, n_items)) < 0.3
    pairs[3] = False
    user, item = (torch.from_numpy(index) for index in np.nonzero(pairs))
    ratings = torch.from_numpy(random.integers(1, 11, len(user)).astype(np.float32))
    ratings[::7] = nan
    model = EASE(reg=1.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0)
    model.n_users, model.n_items = n_users, n_items
    model.configure_model()
    model.history = History.of_new_users(RatingBatch(user, item, ratings), n_users)
    model.weight_ij = torch.from_numpy(random.normal(size=(n_items, n_items)).astype(np.float32))
    model.count_i = torch.ones(n_items)
    model.baseline.fit(model.history, 5.0, 5.0)
    users = torch.tensor([*range(n_users), -1])
    rows, _ = model.history.rows_of(users)
    assert (model.baseline.preferences(rows, len(users)) < 0).any()
    few = torch.cat([model.score_items(some) for some in users.split(20)])
    assert len(users) >= ease.MANY > 20
    torch.testing.assert_close(model.score_items(users), few, rtol=1e-6, atol=1e-6)


def fitted(x_ui: np.ndarray, **settings: float) -> EASE:
    """Return a model fitted to interactions without ratings, whose preferences are 1."""
    user, item = (torch.from_numpy(index) for index in np.nonzero(x_ui))
    model = EASE(
        **{
            "reg": 2.0,
            "dropout": 0.0,
            "activity": 0.0,
            "popularity": 0.0,
            "unrated": 1.0,
            "damping_user": 5.0,
            "damping_item": 5.0,
            **settings,
        }
    )
    model.n_users, model.n_items = x_ui.shape
    model.configure_model()
    model.history = History.of_new_users(RatingBatch(user, item, torch.full((len(user),), nan)), len(x_ui))
    model.solve()
    return model


def test_dropout_minimises_the_expected_error_over_all_hidden_parts() -> None:
    """The reference is ridge regression on each history with each subset of it as input, weighted by probability."""
    x_ui, p = (np.random.default_rng(0).random((12, 5)) < 0.6).astype(float), 0.3
    masks = np.array(list(product([0.0, 1.0], repeat=5)))
    inputs = (x_ui[:, None] * masks / (1 - p)).reshape(-1, 5)
    targets, chance = (
        np.repeat(x_ui, len(masks), axis=0),
        np.tile(p ** (5 - masks.sum(1)) * (1 - p) ** masks.sum(1), 12),
    )
    weights = np.zeros((5, 5))
    for j in range(5):
        others = np.arange(5) != j
        a = inputs[:, others] * chance[:, None]
        weights[others, j] = np.linalg.solve(a.T @ inputs[:, others] + 2 * np.eye(4), a.T @ targets[:, j])
    np.testing.assert_allclose(fitted(x_ui, dropout=p).weight_ij, weights, atol=1e-5)


def test_scores_are_divided_by_a_power_of_popularity() -> None:
    x_ui = np.random.default_rng(0).random((30, 6)) < 0.5
    expected = fitted(x_ui).weight_ij / torch.from_numpy(x_ui.sum(0) ** 0.4)
    torch.testing.assert_close(fitted(x_ui, popularity=0.4).weight_ij, expected.float())


def test_users_weigh_less_the_more_active_they_are() -> None:
    x_ui = np.random.default_rng(0).random((30, 6)) < np.linspace(0.2, 0.9, 30)[:, None]
    x_ui = x_ui[x_ui.any(1)].astype(float)
    weight_u = x_ui.sum(1) ** -0.5
    weight_u *= x_ui.sum() / (weight_u * x_ui.sum(1)).sum()
    inverse = np.linalg.inv(x_ui.T @ (weight_u[:, None] * x_ui) + 2 * np.eye(6))
    expected = -inverse / np.diag(inverse) * (1 - np.eye(6))
    np.testing.assert_allclose(fitted(x_ui, activity=0.5).weight_ij, expected, atol=1e-5)


def test_interactions_without_a_rating_count_as_set(planted, fit) -> None:
    """The scores are those of the closed form with other preferences, in training and in histories."""
    model = EASE(reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=0.3, **DAMPING)
    fit(model, planted)
    rows = planted.train_and_unrated
    preference = model.baseline.preferences(rows.rows(0, len(rows)), planted.n_users).numpy()
    preference[np.isnan(rows.rating)] = 0.3
    x_ui = np.zeros((planted.n_users, planted.n_items))
    x_ui[rows.user, rows.item] = preference
    inverse = np.linalg.inv(x_ui.T @ x_ui + 5 * np.eye(planted.n_items))
    weights = -inverse / np.diag(inverse) * (1 - np.eye(planted.n_items))
    expected = x_ui.clip(min=0) @ weights + x_ui.clip(max=0) @ weights.clip(min=0)
    np.testing.assert_allclose(model.score_items(torch.arange(planted.n_users)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("extreme", [{"popularity": 1000.0}, {"reg": 1e38}, {"dropout": 1 - 1e-8}])
def test_weights_too_small_to_order_titles_are_said_by_a_warning(
    planted, fit, extreme: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"reg": 20.0, "dropout": 0.0, "activity": 0.0, "popularity": 0.0, "unrated": 1.0}
    notices.printed.clear()
    fit(EASE(**{**settings, **extreme}, damping_user=5.0, damping_item=5.0), planted)  # type: ignore[arg-type]
    assert "EASE: all weights are 0, or too small to order the titles" in caplog.text
