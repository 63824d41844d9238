"""RP3beta against products of the transition matrices, written with NumPy."""

from typing import Any

import numpy as np
import pytest
import torch

from anirec.models.ratings.kernels import walks
from anirec.models.ratings.rp3beta import RP3beta


def made(**changed: Any) -> RP3beta:
    return RP3beta(**{"alpha": 0.7, "beta": 0.4, "keep": 60, "damping_user": 5.0, "damping_item": 5.0, **changed})


def preferences(model: Any, data: Any) -> np.ndarray:
    rows = data.train_and_unrated
    x_ui = np.zeros((data.n_users, data.n_items))
    x_ui[rows.user, rows.item] = model.baseline.preferences(rows.rows(0, len(rows)), data.n_users)
    return x_ui


def weights_of(x_ui: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    edge_ui = x_ui.clip(min=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_user_ju = np.nan_to_num(edge_ui / edge_ui.sum(0)).T ** alpha
        to_item_ui = np.nan_to_num(edge_ui / edge_ui.sum(1, keepdims=True)) ** alpha
        weights = np.nan_to_num(to_user_ju @ to_item_ui / edge_ui.sum(0) ** beta)
    np.fill_diagonal(weights, 0)
    return weights / weights.max()


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.4), (1.6, 1.0)])
def test_scores_are_those_of_the_transition_matrices(planted, fit, alpha: float, beta: float) -> None:
    model = made(alpha=alpha, beta=beta)
    fit(model, planted)
    x_ui = preferences(model, planted)
    assert x_ui.min() < 0
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui @ weights_of(x_ui, alpha, beta), atol=1e-5)


def test_only_the_largest_weights_of_each_item_are_kept(planted, fit) -> None:
    model = made(keep=5)
    fit(model, planted)
    x_ui = preferences(model, planted)
    weights = weights_of(x_ui, 0.7, 0.4)
    weights[weights < np.sort(weights, axis=0)[-5]] = 0
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui @ weights, atol=1e-5)
    assert model.weight_ik.shape == (planted.n_items, 5)


def test_threads_change_nothing(planted, fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "LEAST", 1)  # many tasks
    states = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        model = made()
        fit(model, planted)
        states.append(model.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0, equal_nan=True, msg=name)
