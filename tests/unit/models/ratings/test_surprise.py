"""The Surprise adapter: all algorithms, seeds, and users and items without training ratings."""

import pytest
import surprise
import torch

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.surprise import SurpriseModel

BY_ITEM = {"sim_options": {"user_based": False}, "verbose": False}
ALGORITHMS = [
    surprise.SVD(n_factors=5, n_epochs=3),
    surprise.SVDpp(n_factors=5, n_epochs=2),
    surprise.NMF(n_factors=3, n_epochs=5),
    surprise.SlopeOne(),
    surprise.CoClustering(n_epochs=3),
    surprise.BaselineOnly(verbose=False),
    surprise.KNNBasic(verbose=False),
    surprise.KNNWithMeans(**BY_ITEM),
    surprise.KNNWithZScore(verbose=False),
    surprise.KNNBaseline(**BY_ITEM),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: type(algorithm).__name__)
def test_every_algorithm_predicts_for_everyone(planted, fit, algorithm: surprise.AlgoBase) -> None:
    model = SurpriseModel(algorithm=algorithm)
    fit(model, planted)
    predicted = model(planted.test.rows(0, len(planted.test)))
    assert torch.isfinite(predicted).all()
    assert ((predicted >= 1) & (predicted <= 10)).all()


def test_users_and_items_without_ratings_get_the_mean(planted, fit) -> None:
    model = SurpriseModel(algorithm=surprise.SVD(n_factors=5, n_epochs=3))
    fit(model, planted)
    mean = torch.tensor(planted.train.rating.mean())
    nobody = torch.tensor([-1, planted.new_user])
    predicted = model(RatingBatch(nobody, torch.tensor([-1, planted.new_item]), nobody.float()))
    torch.testing.assert_close(predicted, mean.expand(2))


@pytest.mark.parametrize(("own_seed", "differ"), [(None, True), (4, False)])
def test_the_run_seeds_an_algorithm_that_has_no_seed(planted, fit, own_seed: int | None, differ: bool) -> None:
    rows, predictions = planted.test.rows(0, len(planted.test)), []
    for seed in (1, 1, 2):
        model = SurpriseModel(algorithm=surprise.SVD(n_factors=5, n_epochs=3, random_state=own_seed))
        fit(model, planted, seed=seed)
        predictions.append(model(rows))
    assert torch.equal(predictions[0], predictions[1])
    assert torch.equal(predictions[0], predictions[2]) is not differ
