"""Two stages: what boosted trees learn from the scores of several list models."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from anirec.data.ratings.interactions import Interactions
from anirec.errors import UserError
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.boosted_trees import BoostedTrees
from anirec.models.ratings.ease import EASE
from anirec.models.ratings.popularity import Popularity
from anirec.models.ratings.two_stage import TwoStage

from .test_stack import Known

TREES = {"n_trees": 40, "lr": 0.1, "leaves": 7, "min_rows": 20}


class Ranker(Known):
    """Rank by a table."""

    ranks_by_rating = False

    def score_items(self, users: Tensor) -> Tensor:
        return self.table_ui[users]


def two_stages(models: dict[str, Any], **settings: Any) -> TwoStage:
    usual: dict[str, Any] = {"folds": 2, "held_out": 2, "candidates": 40, "relevant_from": None}
    return TwoStage(models=models, **(usual | settings), trees=BoostedTrees(**TREES))


def usual() -> dict[str, Any]:
    damping = {"damping_user": 5.0, "damping_item": 5.0}
    return {
        "ease": EASE(reg=20.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, **damping),
        "popularity": Popularity(damping=5.0),
        "bias": Bias(**damping),
    }


def scores(model: Any, data: Any) -> np.ndarray:
    with torch.no_grad():
        scores_ui = model.score_items(torch.arange(data.n_users)).numpy().copy()
    rows = data.train_and_unrated
    scores_ui[rows.user, rows.item] = -np.inf
    return scores_ui


def mean_rank(model: Any, data: Any, rows: Interactions) -> float:
    scores_ui = scores(model, data)
    return float((scores_ui[rows.user] > scores_ui[rows.user, rows.item][:, None]).sum(1).mean())


def test_the_ranking_of_models_with_independent_errors_beats_each(planted, fit) -> None:
    random = np.random.default_rng(1)
    truth_ui = np.zeros((planted.n_users, planted.n_items))
    for rows in (planted.train, planted.test):
        truth_ui[rows.user, rows.item] = 1.0
    model = two_stages({str(n): Ranker(truth_ui + random.normal(0, 0.7, truth_ui.shape)) for n in range(4)})
    fit(model, planted)
    best = min(mean_rank(part, planted, planted.test) for part in model.models.values())
    assert mean_rank(model, planted, planted.test) < 0.7 * best


def test_relevant_from_ranks_what_is_liked_above_what_is_only_watched(planted, fit) -> None:
    random = np.random.default_rng(1)
    seen_ui, rating_ui = np.zeros((2, planted.n_users, planted.n_items))
    for rows in (planted.train, planted.test):
        seen_ui[rows.user, rows.item], rating_ui[rows.user, rows.item] = 1.0, rows.rating
    liked = planted.test.where(planted.test.rating >= 8)
    other = planted.test.where(planted.test.rating < 6)
    margins = []
    for relevant_from in (None, 8.0):
        noise_ui = random.normal(0, 0.3, seen_ui.shape)
        models = {"watched": Ranker(seen_ui + noise_ui), "rated": Ranker(rating_ui + noise_ui)}
        model = two_stages(models, relevant_from=relevant_from)
        fit(model, planted)
        margins.append(mean_rank(model, planted, other) - mean_rank(model, planted, liked))
    assert margins[1] > margins[0] + 1


def test_candidates_are_ranked_above_all_other_titles(planted, fit) -> None:
    model = two_stages(usual(), candidates=5)
    fit(model, planted)
    users = torch.arange(10)
    with torch.no_grad():
        scored = {name: part.score_items(users) for name, part in model.models.items()}
        row, item, _ = model.candidates_of(scored, model.history.rows_of(users)[0])
        scores_bi = model.score_items(users)
    is_candidate = torch.zeros(10, planted.n_items, dtype=torch.bool)
    is_candidate[row, item] = True
    for score_i, mask in zip(scores_bi, is_candidate, strict=True):
        assert 5 <= mask.sum() <= 10, "bias ranks by ratings and gives no candidates"
        assert score_i[mask].min() > score_i[~mask].max()


def test_held_out_ratings_change_nothing(planted, fit) -> None:
    other = copy.copy(planted)
    permuted = np.random.default_rng(0).permutation(planted.test.item)
    other.test = Interactions(planted.test.user, permuted, planted.test.rating, planted.n_users)
    first, second = two_stages(usual()), two_stages(usual())
    fit(first, planted)
    fit(second, other)
    np.testing.assert_array_equal(scores(first, planted), scores(second, planted))


def test_the_number_of_threads_changes_nothing(planted, fit) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            model = two_stages(usual())
            fit(model, planted)
            found.append(scores(model, planted))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_models_without_candidates_are_refused() -> None:
    with pytest.raises(UserError, match="poor candidates"):
        two_stages({"bias": Bias(damping_user=5.0, damping_item=5.0)})


def test_users_with_too_few_rows_for_all_folds_are_named(planted, fit) -> None:
    with pytest.raises(UserError, match=r"model\.folds=2, model\.held_out=1000: no user"):
        fit(two_stages(usual(), held_out=1000), planted)


def test_a_relevant_rating_that_no_row_reaches_is_refused_before_training(planted, fit) -> None:
    low = copy.copy(planted)
    low.train = planted.train.where(planted.train.rating <= 7)
    model = two_stages({"ranker": Ranker(np.zeros((planted.n_users, planted.n_items)))}, relevant_from=8.0)
    with pytest.raises(UserError, match=r"relevant_from=8: no training rating is as high.* the highest is 7\..*null"):
        fit(model, low)
