"""Ratings in a history: dislikes lower the scores of similar titles, and unrated entries raise them."""

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.data.scale import Scale
from anirec.models.base import popularity_tie_break
from anirec.models.one_pass import History
from anirec.models.ratings.als import ALS
from anirec.models.ratings.bias import DAMPING, DISLIKED, Baseline
from anirec.models.ratings.ease import EASE
from anirec.models.ratings.genre_popularity import GenrePopularity
from anirec.models.ratings.item_item import score_by_votes
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.kernels.sparse_rows import SparseRows
from anirec.models.ratings.svd import SVD
from anirec.models.ratings.svdpp import SVDpp

from .test_als import SETTINGS as ALS_SETTINGS
from .test_item_knn import SETTINGS as KNN_SETTINGS

N_USERS, N_ITEMS = 80, 20
ACTION, ROMANCE = list(range(10)), list(range(10, 20))
SGD: dict[str, Any] = {
    "n_factors": 4,
    "epochs": 30,
    "lr": 0.02,
    "lr_decay": 1.0,
    "reg": 0.02,
    "reg_bias": 0.02,
    "init_std": 0.1,
}
MODELS: dict[str, Callable[[], Any]] = {
    "ease": lambda: EASE(
        reg=5.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0
    ),
    "item_knn": lambda: ItemKNN(**KNN_SETTINGS),
    "als": lambda: ALS(**ALS_SETTINGS),
    "genre_popularity": lambda: GenrePopularity(personal=True, damping_user=5.0, damping_genre=5.0),
    "svd": lambda: SVD(**SGD),
    "svdpp": lambda: SVDpp(**SGD),
}


class Tastes:
    """Half of the users like action and half romance, rated 8 to 10; they watch little of the other genre."""

    n_users, n_items = N_USERS, N_ITEMS
    items = pl.DataFrame({"genres": [["Action"]] * len(ACTION) + [["Romance"]] * len(ROMANCE)})

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        own = (np.arange(N_USERS) % 2)[:, None] == (np.arange(N_ITEMS) // 10)[None]
        user, item = np.nonzero(random.random(own.shape) < np.where(own, 0.7, 0.2))
        rating = np.where(own[user, item], random.integers(8, 11, len(user)), random.integers(3, 6, len(user)))
        self.train = Interactions(user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32), N_USERS)
        self.train_and_unrated = self.train


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, fit_tastes: Callable[[Any], Any]) -> Any:
    return fit_tastes(MODELS[request.param]())


@pytest.fixture(scope="module")
def fit_tastes(fit: Callable[..., Any]) -> Callable[[Any], Any]:
    from anirec.lightning import LightningDataModule

    class Data(Tastes, LightningDataModule):
        scale = Scale()

        def __init__(self) -> None:
            LightningDataModule.__init__(self)
            Tastes.__init__(self)

        def train_dataloader(self) -> Any:
            return self.trainer.lightning_module.batches(self, 0, 1)  # type: ignore[union-attr]

    def fitted(model: Any) -> Any:
        fit(model, Data(), epochs=getattr(model, "epochs", 1))
        return model

    return fitted


def mean_scores(model: Any, **ratings: float) -> tuple[float, float]:
    """Return the mean scores of action and of romance, without the rated titles, for a history such as i3=9."""
    item = torch.tensor([int(name[1:]) for name in ratings])
    with torch.no_grad():
        (score_i,) = model.fold_in(RatingBatch(torch.zeros_like(item), item, torch.tensor([*ratings.values()])), 1)
    groups = [[i for i in group if i not in item.tolist()] for group in (ACTION, ROMANCE)]
    action, romance = (float(score_i[group].mean()) for group in groups)
    return action, romance


@pytest.mark.parametrize("others", [{}, {"i12": 9.0, "i15": 8.0}, {"i4": 9.0}])
def test_a_dislike_lowers_similar_titles(model: Any, others: dict[str, float]) -> None:
    def lead(**ratings: float) -> float:
        action, romance = mean_scores(model, **ratings)
        return action - romance

    without = lead(**others) if others else 0.0
    assert lead(**others, i2=1.0, i3=1.0) < without <= lead(**others, i2=10.0, i3=10.0)


def test_an_unrated_entry_counts_as_a_like(model: Any) -> None:
    """SVD uses ratings only: an unrated entry changes nothing."""
    if isinstance(model, SVD) and not isinstance(model, SVDpp):
        nobody, item = torch.zeros(0, dtype=torch.int64), torch.tensor([2, 3])
        with torch.no_grad():
            unrated = model.fold_in(RatingBatch(torch.zeros_like(item), item, torch.full((2,), nan)), 1)
            unknown = model.fold_in(RatingBatch(nobody, nobody, torch.zeros(0)), 1)
        torch.testing.assert_close(unrated, unknown)
    else:
        action, romance = mean_scores(model, i2=nan, i3=nan)
        assert action > romance


def made(mean: float, lowest: float, highest: float) -> Baseline:
    baseline = Baseline(3, 4)
    for name, value in (("mean", mean), ("lowest", lowest), ("highest", highest)):
        getattr(baseline, name).fill_(value)
    return baseline


def preferences(baseline: Baseline, ratings: list[float]) -> list[float]:
    n = len(ratings)
    batch = RatingBatch(torch.zeros(n, dtype=torch.int64), torch.arange(n), torch.tensor(ratings))
    return baseline.preferences(batch, 1).tolist()


def test_preferences_are_relative_to_the_expected_rating() -> None:
    baseline = made(7.75, 1, 10)
    # The user's damped mean is 7.75 + (0.25 + 2.25 - 0.75 - 2.75) / (4 + DAMPING).
    expected = 7.75 - 1 / (4 + DAMPING)
    found = preferences(baseline, [8, 10, 7, 5])
    np.testing.assert_allclose(found, [1 + (rating - expected) / 9 for rating in (8, 10, 7, 5)], rtol=1e-5)
    assert preferences(baseline, [9, 4, nan])[1:] == [DISLIKED, 1], "more than a third of 9 points too low; unrated"
    baseline.item[1] = -3
    assert preferences(baseline, [9, 4, nan])[1] > 0.8, "nobody likes that title"


@pytest.mark.parametrize("limits", [(7.1, 1, 10), (3.9, 0.5, 5.0), (1, 1, 1), (0, 0, 0)])
def test_the_kernel_of_the_votes_weighs_a_history_with_the_same_bits(limits: tuple[float, float, float]) -> None:
    random = np.random.default_rng(0)
    baseline, n = made(*limits), 200
    baseline.item = torch.from_numpy(random.normal(size=n + 1).astype(np.float32))
    item, rating = np.arange(n, dtype=np.int32), random.integers(1, 11, n).astype(np.float32)
    rating[::7] = nan
    own = SparseRows(np.array([0, n, n]), item, np.ones(n, np.float32))  # each item votes for itself
    history = History(2)
    history.append(RatingBatch(torch.ones(n, dtype=torch.int64), torch.from_numpy(item), torch.from_numpy(rating)))
    history.close()
    voters = SparseRows(np.arange(n + 1), own.column, own.value)
    scores = score_by_votes(history, torch.tensor([1, 0, -1]), baseline, voters, torch.ones(n))
    rows, _ = history.rows_of(torch.tensor([1]))
    tie_break = popularity_tie_break(torch.ones(n))
    assert torch.equal(scores[0], tie_break + baseline.preferences(rows, 1))
    assert torch.equal(scores[1:], tie_break.expand(2, -1)), "users without a history"


def test_the_lowest_ratings_are_dislikes_even_of_a_user_who_gives_no_others() -> None:
    assert preferences(made(7.75, 1, 10), [1, 1, 2, 1]) == [DISLIKED] * 4


def test_other_scales_have_other_dislikes() -> None:
    low, high = preferences(made(3.9, 0.5, 5.0), [2.0, 4.5])
    assert (low, high > 1) == (DISLIKED, True)
    assert preferences(made(1, 1, 1), [1, 1]) == [1, 1], "all ratings are equal: likes without stars"
