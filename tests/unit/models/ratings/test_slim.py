"""SLIM against scikit-learn's elastic net with non-negative weights."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from anirec.models.ratings.kernels import elastic_net
from anirec.models.ratings.kernels.elastic_net import fit_columns, mirror
from anirec.models.ratings.slim import SLIM

from .test_rp3beta import preferences


def made(**changed: Any) -> SLIM:
    return SLIM(**{"l1": 1.0, "l2": 3.0, "keep": 60, "damping_user": 5.0, "damping_item": 5.0, **changed})


def weights_of(x_ui: np.ndarray, l1: float, l2: float) -> np.ndarray:
    """Return the weights of each column (j, i), by scikit-learn, which divides the squared error by the rows."""
    n_users, n_items = x_ui.shape
    weights = np.zeros((n_items, n_items))
    for i in range(n_items):
        alpha, share = (l1 + l2) / n_users, l1 / (l1 + l2)
        net = ElasticNet(alpha=alpha, l1_ratio=share, positive=True, fit_intercept=False, tol=1e-8, max_iter=100_000)
        others = x_ui.copy()
        others[:, i] = 0
        weights[:, i] = net.fit(others, x_ui[:, i]).coef_
    return weights


@pytest.mark.parametrize(("l1", "l2"), [(1.0, 3.0), (0.1, 20.0), (8.0, 1.0)])
def test_scores_are_those_of_elastic_nets_by_scikit_learn(planted, fit, l1: float, l2: float) -> None:
    model = made(l1=l1, l2=l2)
    fit(model, planted)
    x_ui = preferences(model, planted)
    assert x_ui.min() < 0
    weights = weights_of(x_ui, l1, l2)
    assert 0 < (weights > 0).mean() < 0.9
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui @ weights, atol=2e-3)


def test_many_weights_become_active_in_rounds() -> None:
    """More than are added at once, and more than the memory for their products first holds."""
    random = np.random.default_rng(0)
    x_ui = random.normal(size=(900, 600)).astype(np.float32)
    x_ui[:, 0] = x_ui[:, 1:] @ random.random(599).astype(np.float32)
    gram_ij = np.tril(x_ui.T @ x_ui)
    mirror(gram_ij)
    np.testing.assert_allclose(gram_ij, x_ui.T @ x_ui, rtol=1e-5, atol=1e-3)
    neighbour_ik, weight_ik = np.zeros((600, 600), np.int32), np.zeros((600, 600), np.float32)
    fit_columns(0, 1, gram_ij, 1.0, 5.0, neighbour_ik, weight_ik)
    assert (weight_ik[0] > 0).sum() > 300
    weights_j = np.zeros(600)
    weights_j[neighbour_ik[0]] = weight_ik[0]
    net = ElasticNet(alpha=6 / 900, l1_ratio=1 / 6, positive=True, fit_intercept=False, tol=1e-8, max_iter=10_000)
    np.testing.assert_allclose(weights_j[1:], net.fit(x_ui[:, 1:], x_ui[:, 0]).coef_, atol=2e-3)


def test_only_the_largest_weights_of_each_item_are_kept(planted, fit) -> None:
    full, small = made(), made(keep=3)
    fit(full, planted)
    fit(small, planted)
    torch.testing.assert_close(small.weight_ik, full.weight_ik[:, :3])
    torch.testing.assert_close(small.neighbour_ik, full.neighbour_ik[:, :3])


def test_threads_change_nothing(planted, fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic_net, "COLUMNS_PER_TASK", 1)
    states = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        model = made()
        fit(model, planted)
        states.append(model.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0, equal_nan=True, msg=name)


def test_weights_that_are_all_0_are_said_by_a_warning(planted, fit, caplog: pytest.LogCaptureFixture) -> None:
    fit(made(), planted)
    assert "all weights" not in caplog.text
    fit(made(l1=1e30), planted)
    assert "SLIM: all weights are 0, or too small to order the titles" in caplog.text
