"""BPR: what it trains on, how it samples, and the lists of known and new users."""

from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException

from anirec.models.cost import Counts

from .groups import Groups, share_of_own_group
from .test_autoencoders import FITTING, made


@pytest.fixture(scope="module")
def groups() -> Groups:
    return Groups()


@pytest.fixture(scope="module")
def trained(groups: Groups, fit: Any) -> Any:
    model = made("bpr", "n_factors=8", *FITTING)
    fit(model, groups, epochs=30)
    return model


def test_lists_hold_the_titles_of_a_users_group(trained: Any, groups: Groups) -> None:
    assert share_of_own_group(trained.score_items(torch.arange(groups.n_users)).numpy(), groups) > 0.95


def test_lists_of_new_users_are_those_of_known_ones_with_the_same_history(trained: Any, groups: Groups) -> None:
    folded = trained.fold_in(groups.train.rows(0, len(groups.train)), groups.n_users)
    assert share_of_own_group(folded.numpy(), groups) > 0.95


def test_dislikes_are_not_trained_on(groups: Groups, fit: Any) -> None:
    model = made("bpr", "training.epochs=1")
    fit(model, groups)
    every = groups.train
    preference = model.baseline.preferences(every.rows(0, len(every)), groups.n_users)
    assert 0 < (preference < 0).sum() == len(every) - len(model.training_rows(groups))


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_sampled_items_have_the_distribution_asked_for(sampling: str, groups: Groups, fit: Any) -> None:
    model = made("bpr", "training.epochs=1", f"sampling={sampling}", "negatives=50")
    fit(model, groups)
    torch.manual_seed(0)
    drawn = np.bincount(model.sample_negatives(4000).flatten(), minlength=groups.n_items)
    count = np.bincount(model.training_rows(groups).item, minlength=groups.n_items)
    expected = count / count.sum() if sampling == "popularity" else (count > 0) / (count > 0).sum()
    assert (count == 0).any()
    np.testing.assert_allclose(drawn / drawn.sum(), expected, rtol=0.2)


@pytest.mark.parametrize("override", ["objective=mse", "hidden=[8]"])
def test_an_objective_or_an_mlp_of_another_model_is_refused(override: str) -> None:
    with pytest.raises(InstantiationException, match=override.partition("=")[0]):
        made("bpr", override)


def test_cost_grows_with_the_number_of_sampled_items() -> None:
    counts = Counts(1_000_000, n_users=10_000, n_items=5_000)
    few, many = (made("bpr", f"negatives={negatives}").cost(counts) for negatives in (4, 100_000))
    vectors = 4096 * 100_000 * 65  # numbers of a step
    assert 4 * vectors < many.memory - few.memory < 20 * vectors
    assert many.operations > 1000 * few.operations
