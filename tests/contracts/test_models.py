"""Promises of every rating model in conf/model, whoever wrote it: the test of a new model is its YAML."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from anirec.data.datamodule import RatingData
from anirec.data.interactions import RatingBatch
from anirec.models.base import RatingModel

TASK = "ratings"
ANY = "popularity"
SMALL = ["dataset.source.n_users=150", "dataset.source.n_items=60", "dataset.source.ratings_per_user=20"]


def test_rows(data: RatingData) -> RatingBatch:
    return data.test.rows(0, len(data.test))


test_rows.__test__ = False  # type: ignore[attr-defined]


def test_predicts_finite_ratings_better_than_the_mean(model: RatingModel, data: RatingData) -> None:
    """On ratings with planted signal: every model must at least see the items' means."""
    rows = test_rows(data)
    with torch.no_grad():
        predicted = model(rows).numpy()
    assert predicted.shape == (len(data.test),)
    assert np.isfinite(predicted).all()
    assert predicted.min() > 0
    assert predicted.max() < 12
    mean = data.train.rating.mean()
    assert np.mean((predicted - data.test.rating) ** 2) < np.mean((mean - data.test.rating) ** 2)


def test_ranks_the_whole_catalogue(model: RatingModel, data: RatingData) -> None:
    users = torch.tensor([0, 5, 7])
    with torch.no_grad():
        scores = model.score_items(users)
    assert scores.shape == (3, data.n_items)
    assert torch.isfinite(scores).all()
    with torch.no_grad():
        alone = torch.cat([model.score_items(user[None]) for user in users])
    torch.testing.assert_close(scores, alone, rtol=1e-4, atol=1e-4)


def test_unknown_ids_get_a_sensible_rating(model: RatingModel, data: RatingData) -> None:
    unknown = torch.tensor([-1, -1, 3])
    rows = RatingBatch(unknown, torch.tensor([2, -1, -1]), torch.full((3,), float("nan")))
    with torch.no_grad():
        predicted = model(rows)
        scores = model.score_items(torch.tensor([-1]))
    assert torch.isfinite(predicted).all()
    assert ((predicted > 1) & (predicted < 11)).all()
    assert torch.isfinite(scores).all()
    assert scores.shape == (1, data.n_items)
    assert len(scores.unique()) > data.n_items / 4, "unknown users get an arbitrary list"


def test_a_checkpoint_is_the_model_and_runs_no_code(loaded: RatingModel, model: RatingModel, data: RatingData) -> None:
    rows, users = test_rows(data), torch.tensor([0, 5, 7])
    with torch.no_grad():
        torch.testing.assert_close(loaded(rows), model(rows), rtol=0, atol=0)
        torch.testing.assert_close(loaded.score_items(users), model.score_items(users), rtol=0, atol=0)


def test_the_same_seed_gives_the_same_model(
    name: str, model: RatingModel, data: RatingData, tmp_path: Path, trained: Callable[..., RatingModel]
) -> None:
    again = trained(name, data, tmp_path)
    rows = test_rows(data)
    with torch.no_grad():
        torch.testing.assert_close(again(rows), model(rows), rtol=0, atol=0)
