"""CEASE against the closed form of EASE on histories with the features of titles below them, written with NumPy."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from anirec.models.ratings.cease import CEASE

from ..conftest import Planted
from .test_autoencoders import made
from .test_rp3beta import preferences

SETTINGS = ["reg=5.0", "dropout=0.0", "activity=0.0", "popularity=0.0", "unrated=1.0", "branches.names.min_df=1"]


class Titled(Planted):
    """Planted ratings of titles in ten series."""

    def __init__(self, cache: Any) -> None:
        super().__init__()
        self.cache = cache
        self.items = pl.DataFrame({"title": [f"Series{i % 10} Part{i}" for i in range(self.n_items)]})


def fitted(data: Titled, fit: Any, *overrides: str) -> CEASE:
    model: CEASE = made("cease", *SETTINGS, *overrides)
    fit(model, data)
    return model


@pytest.mark.parametrize("weight", [0.0, 7.0])
def test_scores_are_those_of_the_closed_form(fit: Any, tmp_path: Any, weight: float) -> None:
    data = Titled(tmp_path)
    model = fitted(data, fit, f"weight={weight}")
    x_ui, f_it = preferences(model, data), model.branch("names").matrix(np.arange(data.n_items)).toarray()
    assert f_it.any(axis=1).all()
    gram = x_ui.T @ x_ui + weight * f_it @ f_it.T + 5 * np.eye(data.n_items)
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scores = model.score_items(torch.arange(data.n_users)).numpy()
    np.testing.assert_allclose(scores, x_ui.clip(min=0) @ weights + x_ui.clip(max=0) @ weights.clip(min=0), atol=1e-4)


def test_a_title_without_interactions_follows_those_of_its_series(fit: Any, tmp_path: Any) -> None:
    data = Titled(tmp_path)
    model = fitted(data, fit, "weight=20.0")
    weight_i = model.weight_ij[:, data.new_item].numpy()
    same_series = np.arange(data.n_items) % 10 == data.new_item % 10
    same_series[data.new_item] = False
    assert weight_i[same_series].min() > np.abs(weight_i[~same_series]).max()
