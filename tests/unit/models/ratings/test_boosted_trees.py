"""Boosted trees as tensors, against scikit-learn's own predictions."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from anirec.models.ratings.boosted_trees import BoostedTrees

SETTINGS = {"n_trees": 20, "lr": 0.1, "leaves": 7, "min_rows": 5}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    rows_nf = random.normal(size=(500, 3)).astype(np.float32)
    return rows_nf, rows_nf[:, 0] * (rows_nf[:, 1] > 0) + random.normal(0, 0.1, 500)


@pytest.mark.parametrize(
    ("loss", "kind", "raw"),
    [
        ("squared", HistGradientBoostingRegressor, "predict"),
        ("log", HistGradientBoostingClassifier, "decision_function"),
    ],
)
def test_predictions_are_those_of_scikit_learn(rows, loss, kind, raw) -> None:
    rows_nf, target_n = rows[0], rows[1] if loss == "squared" else rows[1] > 0
    trees = BoostedTrees(**SETTINGS)
    trees.fit(rows_nf, target_n, loss=loss, seed=0)
    settings = {"max_iter": 20, "max_leaf_nodes": 7, "min_samples_leaf": 5, "early_stopping": False}
    reference = kind(**settings, random_state=0).fit(rows_nf, target_n)
    new_nf = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    np.testing.assert_allclose(trees(new_nf), getattr(reference, raw)(new_nf), atol=1e-9)
    assert np.std(trees(new_nf)) > 0.1


def test_trees_that_would_read_elsewhere_are_refused(rows) -> None:
    trees = BoostedTrees(**SETTINGS)
    trees.fit(*rows, loss="squared", seed=0)
    trees.n_features = 3
    trees.check_tensors(0)
    for name, value in (("child", 10**6), ("feature", 3), ("root", -1)):
        broken = BoostedTrees(**SETTINGS)
        broken.n_features = 3
        vars(broken)["_buffers"] = {key: buffer.clone() for key, buffer in trees.named_buffers()}
        broken.get_buffer(name)[:] = torch.where(broken.get_buffer(name) >= 0, value, value)
        with pytest.raises(ValueError, match="trees"):
            broken.check_tensors(0)
