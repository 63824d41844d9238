"""Content ridge against scikit-learn's kernel ridge regression, on titles with two branches."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise_distances

from anirec.data.ratings.interactions import RatingBatch
from anirec.features.tabular import Tabular
from anirec.models.ratings.content_ridge import ContentRidge

N_USERS, N_ITEMS, REG = 30, 24, 0.4
NEW = np.array([3, 11, 23])  # without a training row
KNOWN = np.setdiff1d(np.arange(N_ITEMS), NEW)
WEIGHTS = {"facts": 0.7, "length": 0.2}


def titles() -> pl.DataFrame:
    random = np.random.default_rng(0)
    genres = [sorted(random.choice(["Action", "Drama", "Mecha", "Music"], 2, replace=False)) for _ in range(N_ITEMS)]
    return pl.DataFrame({"genres": genres, "episodes": random.integers(1, 50, N_ITEMS)})


@pytest.fixture(scope="module")
def model() -> ContentRidge:
    random = np.random.default_rng(1)
    user, item = np.nonzero(random.random((N_USERS, N_ITEMS)) < 0.5)
    user, item = (column[~np.isin(item, NEW)] for column in (user, item))
    rating = random.integers(2, 11, len(item)).astype(np.float32)
    branches = {"facts": Tabular(columns=["genres"]), "length": Tabular(columns=["episodes"])}
    model = ContentRidge(branches=branches, weights=WEIGHTS, reg=REG, damping_user=5.0, damping_item=5.0)
    model.n_users, model.n_items = N_USERS, N_ITEMS
    model.trainer = SimpleNamespace(datamodule=SimpleNamespace(items=titles(), cache=Path()))
    model.configure_model()
    model.history.append(RatingBatch(*(torch.from_numpy(column) for column in (user, item, rating))))
    model.history.close()
    model.solve()
    return model


def kernel() -> np.ndarray:
    """Return the kernel of all titles; distances are in units of the standard deviation over the known ones."""
    table, total = titles(), np.zeros((N_ITEMS, N_ITEMS))
    names = sorted({genre for genres in table["genres"] for genre in genres})
    genres = np.array([[name in genres for name in names] for genres in table["genres"]], float)
    for rows, weight in ((genres, WEIGHTS["facts"]), (table["episodes"].to_numpy()[:, None], WEIGHTS["length"])):
        total += weight * pairwise_distances(rows) ** 2 / rows[KNOWN].var(axis=0).sum()
    return np.exp(-total)


def test_new_titles_are_predicted_by_kernel_ridge_regression(model: ContentRidge) -> None:
    rows, _ = model.history.rows_of(torch.arange(N_USERS))
    x_ui = np.zeros((N_USERS, N_ITEMS))
    x_ui[rows.user, rows.item] = model.baseline.preferences(rows, N_USERS).clamp(min=0)  # the likes
    everything = kernel()
    ridge = KernelRidge(alpha=REG, kernel="precomputed").fit(everything[np.ix_(KNOWN, KNOWN)], x_ui[:, KNOWN].T)
    expected = ridge.predict(everything[np.ix_(NEW, KNOWN)]).T
    np.testing.assert_allclose(x_ui @ model.weight_ij.numpy()[:, NEW], expected, atol=1e-4)


def test_a_known_title_is_predicted_from_the_others_as_if_it_were_new(model: ContentRidge) -> None:
    everything, x_i = kernel(), np.random.default_rng(2).normal(size=N_ITEMS)
    for title in KNOWN[:3]:
        others = KNOWN[title != KNOWN]
        ridge = KernelRidge(alpha=REG, kernel="precomputed").fit(everything[np.ix_(others, others)], x_i[others])
        (expected,) = ridge.predict(everything[title, others][None])
        assert x_i @ model.weight_ij.numpy()[:, title] == pytest.approx(expected, abs=1e-3)


def test_new_titles_have_no_weight_and_the_offset_of_similar_titles(model: ContentRidge) -> None:
    everything, offset_i = kernel(), model.baseline.item.numpy()
    assert not model.weight_ij[NEW].any()
    ridge = KernelRidge(alpha=REG, kernel="precomputed").fit(everything[np.ix_(KNOWN, KNOWN)], offset_i[KNOWN])
    np.testing.assert_allclose(offset_i[NEW], ridge.predict(everything[np.ix_(NEW, KNOWN)]), atol=1e-4)


def test_new_titles_with_a_users_genres_come_first() -> None:
    items = pl.DataFrame({"genres": [["Action"]] * 4 + [["Music"]] * 4})
    model = ContentRidge(
        branches={"facts": Tabular(columns=["genres"])},
        weights={"facts": 1.0},
        reg=REG,
        damping_user=5.0,
        damping_item=5.0,
    )
    model.n_users, model.n_items = 4, len(items)
    model.trainer = SimpleNamespace(datamodule=SimpleNamespace(items=items, cache=Path()))
    model.configure_model()
    user, item = torch.tensor([0, 0, 1, 1, 2, 3]), torch.tensor([0, 1, 4, 5, 2, 6])
    model.history.append(RatingBatch(user, item, torch.full((6,), 8.0)))
    model.history.close()
    model.solve()
    action, music = model.score_items(torch.tensor([0, 1])).numpy()
    assert action[3] > action[7]
    assert music[7] > music[3]
