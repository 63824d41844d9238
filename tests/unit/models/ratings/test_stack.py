"""Stacks: what they learn from predictions for rows that their models were not trained on."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor

from anirec.config.compose import conf_folder
from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.cost import LONG, Counts
from anirec.models.one_pass import MemoryBased
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.boosted_trees import BoostedTrees
from anirec.models.ratings.item_knn import ItemKNN
from anirec.models.ratings.stack import Stack
from anirec.models.ratings.svd import SVD

from .test_item_knn import SETTINGS

TREES = {"n_trees": 30, "lr": 0.1, "leaves": 7, "min_rows": 20}
SVD_SETTINGS = {"n_factors": 4, "epochs": 8, "lr": 0.05, "lr_decay": 0.95, "reg": 0.05, "reg_bias": 0.02}


class Known(MemoryBased):
    """Predict what a table says about user and item, whatever the training rows."""

    def __init__(self, table_ui: np.ndarray) -> None:
        super().__init__()
        self.table_ui = torch.from_numpy(table_ui).float()

    def solve(self) -> None:
        """Do nothing."""

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.table_ui[batch.user, batch.item]


class Memory(Known):
    """Predict training ratings as they are, and 5 elsewhere: perfect on its training rows, useless on others."""

    def solve(self) -> None:
        rows = self.data.train
        self.table_ui = torch.full_like(self.table_ui, 5.0)
        self.table_ui[rows.user, rows.item] = torch.from_numpy(rows.rating)


def stack_of(models: dict[str, Any], *, trees: bool = True) -> Stack:
    return Stack(models=models, folds=3, reg=1.0, trees=BoostedTrees(**TREES) if trees else None)


def usual() -> dict[str, Any]:
    svd = SVD(**SVD_SETTINGS, init_std=0.1)
    return {"bias": Bias(damping_user=5.0, damping_item=5.0), "knn": ItemKNN(**SETTINGS), "svd": svd}


def table_of(data: Any) -> np.ndarray:
    table_ui = np.full((data.n_users, data.n_items), 7.0)
    for rows in (data.train, data.test):
        table_ui[rows.user, rows.item] = rows.rating
    return table_ui


def predictions(model: Any, rows: Interactions) -> np.ndarray:
    with torch.no_grad():
        return model(rows.rows(0, len(rows))).numpy()


def rmse(model: Any, rows: Interactions) -> float:
    return float(np.sqrt(np.mean((predictions(model, rows) - rows.rating) ** 2)))


@pytest.mark.parametrize("trees", [False, True])
def test_a_stack_of_models_with_independent_errors_beats_each(planted, fit, trees) -> None:
    truth_ui, random = table_of(planted), np.random.default_rng(1)
    models = {str(n): Known(truth_ui + random.normal(0, 1, truth_ui.shape)) for n in range(4)}
    models["halved"] = Known(truth_ui / 2 + random.normal(0, 0.5, truth_ui.shape))
    stack = stack_of(models, trees=trees)
    fit(stack, planted)
    assert rmse(stack, planted.test) < 0.7 * min(rmse(part, planted.test) for part in stack.models.values())


def test_predictions_for_rows_of_training_are_not_believed(planted, fit) -> None:
    table_ui = table_of(planted)
    stack = stack_of({"memory": Memory(table_ui), "bias": Bias(damping_user=5.0, damping_item=5.0)}, trees=False)
    fit(stack, planted)
    memory, bias = stack.weight_m.tolist()
    assert abs(memory) < 0.1
    assert bias > 0.7
    assert rmse(stack.models["memory"], planted.train) == 0


def test_each_model_is_trained_on_all_rows_as_it_is_alone(planted, fit) -> None:
    stack, alone = stack_of(usual()), usual()
    fit(stack, planted)
    for name, model in alone.items():
        fit(model, planted, epochs=getattr(model, "epochs", 1))
        np.testing.assert_array_equal(predictions(stack.models[name], planted.test), predictions(model, planted.test))


def test_held_out_ratings_change_nothing(planted, fit) -> None:
    other = copy.copy(planted)
    permuted = np.random.default_rng(0).permutation(planted.test.rating)
    other.test = Interactions(planted.test.user, planted.test.item, permuted, planted.n_users)
    first, second = stack_of(usual()), stack_of(usual())
    fit(first, planted)
    fit(second, other)
    np.testing.assert_array_equal(predictions(first, planted.test), predictions(second, planted.test))


def test_the_number_of_threads_changes_nothing(planted, fit) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            stack = stack_of(usual())
            fit(stack, planted)
            found.append(predictions(stack, planted.test))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_a_network_can_be_stacked_and_is_restored(cache, fit, tmp_path) -> None:
    sizes = {"n_users": 100, "n_items": 50, "ratings_per_user": 20}
    small = [f"dataset.source.{name}={value}" for name, value in sizes.items()]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose(
            "config", ["dataset=demo_ratings", *small, "model=ncf", "model.hidden=[]", "model.training.epochs=2"]
        )
    data = instantiate(config.dataset, split=config.split, cache=str(cache), _convert_="all")
    data.prepare_data()
    data.setup("fit")

    def make() -> Stack:
        network = instantiate(config.model, _convert_="all")
        return stack_of({"network": network, "bias": Bias(damping_user=5.0, damping_item=5.0)})

    stack = make()
    fit(stack, data).save_checkpoint(tmp_path / "stack.ckpt")
    checkpoint = torch.load(tmp_path / "stack.ckpt", weights_only=True)
    again = make()
    again.on_load_checkpoint(checkpoint)
    again.load_state_dict(checkpoint["state_dict"])
    np.testing.assert_array_equal(predictions(again.eval(), data.test), predictions(stack, data.test))
    alone = instantiate(config.model, _convert_="all")
    fit(alone, data, epochs=2)
    np.testing.assert_array_equal(predictions(stack.models["network"], data.test), predictions(alone, data.test))


def test_seconds_grow_with_the_folds_also_on_few_rows() -> None:
    few, many = (Stack(models=usual(), folds=folds, reg=1.0, trees=None) for folds in (3, 19_999))
    counts = Counts(500, n_users=60, n_items=40)
    assert many.seconds(counts) == pytest.approx(5000 * few.seconds(counts))
    assert many.seconds(counts) > LONG
