"""Low-rank EASE: equal to EASE at full rank, and to the closed form at any rank."""

from typing import Any

import numpy as np
import pytest
import torch

from anirec.models.ratings.low_rank_ease import LowRankEASE


def made(**changed: Any) -> LowRankEASE:
    return LowRankEASE(**{"n_factors": 8, "reg": 5.0, "damping_user": 5.0, "damping_item": 5.0, **changed})


def preferences(model: LowRankEASE, data: Any) -> np.ndarray:
    rows = data.train_and_unrated
    x_ui = np.zeros((data.n_users, data.n_items))
    x_ui[rows.user, rows.item] = model.baseline.preferences(rows.rows(0, len(rows)), data.n_users)
    return x_ui


@pytest.mark.parametrize("n_factors", [8, 59, 1000])  # 1000: more than there are items; one item has no interaction
def test_scores_are_those_of_ease_for_a_low_rank_plus_a_diagonal(planted, fit, n_factors: int) -> None:
    model = made(n_factors=n_factors)
    fit(model, planted)
    x_ui = preferences(model, planted)
    gram = x_ui.T @ x_ui
    values, vectors = np.linalg.eigh(gram)
    low_rank = (vectors[:, -n_factors:] * values[-n_factors:]) @ vectors[:, -n_factors:].T
    np.fill_diagonal(low_rank, np.diag(gram))
    inverse = np.linalg.inv(low_rank + 5 * np.eye(planted.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui @ weights, atol=2e-3)


def test_memory_does_not_grow_with_the_square_of_the_items(planted, fit) -> None:
    model = made()
    fit(model, planted)
    assert max(buffer.numel() for buffer in model.buffers()) <= max(
        len(planted.train_and_unrated), planted.n_items * 8, planted.n_users + 2
    )


def test_threads_change_nothing(planted, fit) -> None:
    states = []
    for threads in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            model = made()
            fit(model, planted)
            states.append(model.state_dict())
        finally:
            torch.set_num_threads(before)
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0, equal_nan=True, msg=name)
