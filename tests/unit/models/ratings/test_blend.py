"""Blends: the weighted mean of models, each trained as it would be alone."""

import pytest
import torch

from anirec.errors import UserError
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.blend import Blend
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.popularity import Popularity

from .test_item_knn import SETTINGS


def test_a_blend_is_the_weighted_mean_of_its_models(planted, fit) -> None:
    alone = {"bias": Bias(damping_user=5.0, damping_item=5.0), "knn": ItemKNN(**SETTINGS)}
    parts = {"bias": Bias(damping_user=5.0, damping_item=5.0), "knn": ItemKNN(**SETTINGS)}
    blend = Blend(models=parts, weights={"bias": 0.25, "knn": 0.75}, epochs=1)
    for model in (*alone.values(), blend):
        fit(model, planted)
    users = torch.arange(5)
    expected = 0.25 * alone["bias"].score_items(users) + 0.75 * alone["knn"].score_items(users)
    torch.testing.assert_close(blend.score_items(users), expected)


@pytest.mark.parametrize(
    ("models", "weights", "words"),
    [
        ({"a": Popularity(damping=1.0)}, {"a": 0.5}, "values that sum to 1, not 0.5"),
        ({"a": Popularity(damping=1.0)}, {"b": 1.0}, "expected one for each of a"),
    ],
)
def test_invalid_weights_are_refused(models: dict, weights: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Blend(models=models, weights=weights, epochs=1)


def test_a_blend_trains_as_long_as_its_models_need() -> None:
    with pytest.raises(UserError, match="epochs=3: expected 1, the largest number of epochs of a"):
        Blend(models={"a": Popularity(damping=1.0)}, weights={"a": 1.0}, epochs=3)
