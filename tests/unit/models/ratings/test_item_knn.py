"""Item-item collaborative filtering: hand-computed similarities, predictions and rankings."""

from typing import Any

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.kernels import neighbours
from anirec.models.ratings.kernels.neighbours import (
    SMALLEST,
    Neighbours,
    Offsets,
    Similarity,
    find_neighbours,
    move_best,
    predict_deviations,
)
from anirec.models.ratings.kernels.sparse_rows import SparseRows

SETTINGS: dict[str, Any] = {
    "similarity": "pearson_baseline",
    "around": "baseline",
    "neighbours": 20,
    "keep": 60,
    "shrinkage": 10.0,
    "min_support": 2,
    "damping_user": 5.0,
    "damping_item": 5.0,
}
NONE = Offsets(np.zeros(2, np.float32), np.zeros(4, np.float32))
RULES: dict[str, Any] = {"among_shared": True, "shrinkage": 0.0, "min_support": 1, "keep": 9}


def made(**changed: Any) -> ItemKNN:
    return ItemKNN(**{**SETTINGS, **changed})


def found(rows: SparseRows, n_items: int, *, keep: int, **rule: Any) -> Neighbours:
    return find_neighbours(rows, n_items, Similarity(**rule), keep=keep)


def rows_of(dense: list[list[float]]) -> SparseRows:
    """Return the compressed rows of a matrix (users x items), in which zeros are missing."""
    matrix = np.array(dense, np.float32)
    user, item = matrix.nonzero()
    start = np.searchsorted(user, np.arange(len(matrix) + 1))
    return SparseRows(start.astype(np.int64), item.astype(np.int32), matrix[user, item])


def dense(neighbours: Neighbours) -> np.ndarray:
    out = np.zeros((len(neighbours.item), len(neighbours.item)))
    np.put_along_axis(out, neighbours.item.astype(int), neighbours.similarity, axis=1)
    return out


def test_similarity_is_over_shared_users_or_over_all() -> None:
    rows = rows_of([[1, 2, 0], [2, 4, 1], [3, 0, 2]])
    shared = dense(found(rows, 3, **RULES))
    assert shared[0, 1] == pytest.approx(1)  # (1, 2) and (2, 4) are parallel
    assert shared[0, 2] == pytest.approx((2 * 1 + 3 * 2) / np.sqrt(13 * 5))
    over_all = dense(found(rows, 3, **{**RULES, "among_shared": False}))
    assert over_all[0, 1] == pytest.approx((1 * 2 + 2 * 4) / np.sqrt(14 * 20))
    np.testing.assert_allclose(shared, shared.T)


def test_shrinkage_and_support_reduce_similarities_with_few_shared_users() -> None:
    rows = rows_of([[1, 2, 0], [2, 4, 1], [3, 0, 0]])
    assert dense(found(rows, 3, **{**RULES, "shrinkage": 3.0}))[0, 1] == pytest.approx(1 / 4)
    assert dense(found(rows, 3, **{**RULES, "min_support": 2}))[0, 2] == 0


def test_items_with_negative_similarity_are_no_neighbours() -> None:
    assert not dense(found(rows_of([[1, -1], [2, -2]]), 2, **RULES)).any()


def test_only_the_nearest_are_kept_nearest_first() -> None:
    rows = rows_of([[1, 1, 3, 9], [2, 2, 1, 9], [3, 3, 2, 1]])
    kept = found(rows, 4, **{**RULES, "keep": 2})
    assert kept.item[0].tolist() == [1, 2]
    assert kept.similarity[0, 0] > kept.similarity[0, 1]


def test_a_prediction_is_the_weighted_mean_of_the_nearest_rated() -> None:
    neighbours = Neighbours(np.array([[1, 2, 3]] * 4, np.int32), np.array([[0.8, 0.4, 0.2]] * 4, np.float32))
    rows = rows_of([[0, 0, 1, 3], [0, 0, 0, 0]])
    user, item = np.array([0, 1, 0, 0]), np.array([0, 0, 0, -1])
    np.testing.assert_allclose(
        predict_deviations(user, item, rows, NONE, neighbours, n_used=2),
        np.array([(0.4 * 1 + 0.2 * 3) / 0.6, np.nan, (0.4 * 1 + 0.2 * 3) / 0.6, np.nan], np.float32),
    )
    assert predict_deviations(user, item, rows, NONE, neighbours, n_used=1)[0] == 1


@pytest.mark.parametrize("similarity", ["pearson_baseline", "pearson", "centred_cosine", "cosine", "ratio_cosine"])
@pytest.mark.parametrize("around", ["baseline", "item_mean", "nothing"])
def test_beats_the_item_means(planted, fit, similarity: str, around: str) -> None:
    model = made(similarity=similarity, around=around, shrinkage=0.0)
    fit(model, planted)
    rows = planted.test.rows(0, len(planted.test))
    error = (model(rows) - rows.rating).square().mean()
    means = model.mean_i[rows.item].masked_fill(rows.item == planted.new_item, float(model.baseline.mean))
    # A weighted mean of raw ratings with nearly equal weights is close to the user's mean, so its error may be larger.
    allowed = 1.3 if around == "nothing" else 1.0
    assert error < allowed * (means - rows.rating).square().mean()


def test_without_a_neighbour_the_bias_model_predicts(planted, fit) -> None:
    model = made(around="item_mean")
    fit(model, planted)
    user, item = torch.tensor([planted.new_user, 3, -1, 3]), torch.tensor([4, planted.new_item, 5, -1])
    predicted = model(RatingBatch(user, item, user.float()))
    torch.testing.assert_close(predicted, model.baseline(user, item))


def test_a_ranking_score_sums_similarities_times_preferences(planted, fit) -> None:
    model = made(neighbours=5)
    fit(model, planted)
    near = dense(Neighbours(model.neighbour_ik.numpy()[:, :5], model.similarity_ik.numpy()[:, :5]))
    rated = np.zeros((planted.n_users, planted.n_items))
    rows = planted.train.rows(0, len(planted.train))
    rated[rows.user, rows.item] = model.baseline.preferences(rows, planted.n_users)
    scores = model.score_items(torch.arange(planted.n_users)).numpy()
    np.testing.assert_allclose(scores, rated @ near.T, atol=2e-6)


def test_an_unknown_user_gets_the_most_popular_item_first(planted, fit) -> None:
    model = made()
    fit(model, planted)
    most_rated = np.bincount(planted.train.item, minlength=planted.n_items).argmax()
    assert model.score_items(torch.tensor([-1])).argmax() == most_rated


def test_threads_change_nothing(planted, fit) -> None:
    states = []
    for threads in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            model = made()
            fit(model, planted)
            states.append({**model.state_dict(), "scores": model.score_items(torch.arange(50))})
        finally:
            torch.set_num_threads(before)
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name


@pytest.mark.parametrize(("n", "keep"), [(2, 1), (9, 8), (40, 1), (40, 20), (1064, 500), (1064, 1000)])
def test_the_best_keys_are_moved_to_the_front(n: int, keep: int) -> None:
    for seed in range(20):
        keys = np.random.default_rng(seed).permutation(3 * n)[:n] + SMALLEST
        moved = np.append(keys, SMALLEST + 10**6)  # is no candidate
        n_kept, least = move_best(moved, n, keep)
        assert keep <= n_kept <= keep + keep // 4
        assert sorted(moved[:n]) == sorted(keys)
        assert sorted(moved[:n_kept]) == sorted(keys)[-n_kept:]
        assert moved[:n_kept].min() == least


@pytest.mark.parametrize("keep", [1, 7, 60, 400])
@pytest.mark.parametrize("at_once", [150, 1 << 25])  # of one or more tiles
def test_the_nearest_of_many_items_are_those_of_all_similarities(
    keep: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "SIMILARITIES_AT_ONCE", at_once * 300)
    random, n_items = np.random.default_rng(0), 300
    x_ui = np.where(random.random((500, n_items)) < 0.2, random.normal(size=(500, n_items)) + 0.5, 0).astype(np.float32)
    item, similarity = found(
        rows_of(x_ui.tolist()), n_items, keep=keep, among_shared=False, shrinkage=0.0, min_support=1
    )
    lengths = np.sqrt((x_ui**2).sum(0))
    wanted_ij = x_ui.T @ x_ui / np.outer(lengths, lengths)
    np.fill_diagonal(wanted_ij, 0)
    wanted_ik = -np.sort(-wanted_ij.clip(min=0), axis=1)[:, : similarity.shape[1]]
    np.testing.assert_allclose(similarity, wanted_ik, atol=1e-5)
    of_items = np.take_along_axis(wanted_ij, item.astype(np.int64), 1) * (similarity > 0)
    np.testing.assert_allclose(of_items, wanted_ik, atol=1e-5)
