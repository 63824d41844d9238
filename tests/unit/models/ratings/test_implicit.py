"""The adapter for implicit: scores are those of the library, also for new users and after a checkpoint."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.lmf import LogisticMatrixFactorization
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy.sparse import csr_matrix

from anirec.config import checks
from anirec.errors import UserError
from anirec.inference.predict import check_trusted
from anirec.models.base import SupportsFoldIn
from anirec.models.ratings.implicit import ImplicitModel

from .test_rp3beta import preferences

ALGORITHMS = [
    AlternatingLeastSquares(factors=8, iterations=4, alpha=2.0, use_gpu=False),
    BayesianPersonalizedRanking(factors=8, iterations=4, use_gpu=False),
    LogisticMatrixFactorization(factors=8, iterations=4, use_gpu=False),
    CosineRecommender(K=12),
    TFIDFRecommender(K=12),
    BM25Recommender(K=12),
]
each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: type(algorithm).__name__)


def made(algorithm: Any) -> ImplicitModel:
    return ImplicitModel(algorithm=copy.copy(algorithm), damping_user=5.0, damping_item=5.0)


@each_algorithm
def test_lists_are_those_of_implicit(planted, fit, algorithm: Any) -> None:
    model = made(algorithm)
    fit(model, planted)
    users, matrix = np.arange(planted.n_users), csr_matrix(preferences(model, planted).astype(np.float32))
    scores = model.score_items(torch.from_numpy(users)).numpy()
    ids, expected = model.algorithm.recommend(users, matrix, N=8)
    used = expected > np.finfo(np.float32).min / 2  # an item-item list may be shorter
    used &= ids >= 0
    assert used.mean() > 0.9
    found = np.take_along_axis(scores, ids.clip(min=0), axis=1)
    np.testing.assert_allclose(found[used], expected[used], atol=1e-4)


@each_algorithm
def test_the_run_seeds_an_algorithm_without_a_seed(planted, fit, algorithm: Any) -> None:
    states = []
    for seed in (1, 1, 2):
        model = made(algorithm)
        fit(model, planted, seed=seed)
        states.append(model.score_items(torch.arange(9)))
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2]) == model.is_item_item


@each_algorithm
def test_a_checkpoint_also_ranks_for_new_users(planted, fit, tmp_path: Path, algorithm: Any) -> None:
    model, again = made(algorithm), made(algorithm)
    trainer = fit(model, planted)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    again.on_load_checkpoint(checkpoint)
    again.load_state_dict(checkpoint["state_dict"])
    assert isinstance(model, SupportsFoldIn) == (model.is_als or model.is_item_item)
    assert torch.equal(again.score_items(torch.arange(-1, 5)), model.score_items(torch.arange(-1, 5)))
    if isinstance(model, SupportsFoldIn):
        rows = planted.train_and_unrated
        some = rows.rows(0, int(rows.indptr[5]))
        assert torch.equal(again.fold_in(some, 5), model.fold_in(some, 5))


def test_an_algorithm_without_factors_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^model\.algorithm: object has neither similarities nor factors on the CPU\."):
        made(object())


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(target: str, *_: Any) -> Any:
        raise checks.UnknownTargetError("there is no module implicit")

    monkeypatch.setattr(checks, "signature", not_found)
    node = {"_target_": "implicit.als.AlternatingLeastSquares"}
    (problem,) = checks.check_targets({"model": {"algorithm": node}})
    assert problem.endswith("there is no module implicit. Install it: pip install 'anirec[implicit]'")


def test_algorithms_of_implicit_are_trusted_in_a_run_folder() -> None:
    node: dict[str, Any] = {"_target_": "anirec.models.ratings.implicit.ImplicitModel", "algorithm": {}}
    for name in (
        "als.AlternatingLeastSquares",
        "bpr.BayesianPersonalizedRanking",
        "nearest_neighbours.BM25Recommender",
    ):
        check_trusted(node | {"algorithm": {"_target_": f"implicit.{name}"}})
    with pytest.raises(UserError, match=r"implicit\.utils\.check_csr"):
        check_trusted(node | {"algorithm": {"_target_": "implicit.utils.check_csr"}})
