"""Contract of every rating model in conf/model; a new YAML is tested without further code."""

from collections.abc import Callable
from functools import cache as cache_of_calls
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.interactions import RatingBatch
from anirec.data.splits.rows import Random
from anirec.data.synthetic.demo_ratings import DemoRatings
from anirec.errors import UserError
from anirec.evaluation.known_histories import scorer
from anirec.inference.predict import check_trusted
from anirec.lightning import Trainer, seed_everything
from anirec.models.base import HistoryReader, ManualOptimization, RatingModel, SupportsFoldIn
from anirec.models.checkpoint import restore
from anirec.models.cost import Counts
from anirec.models.ratings.blend import Blend

from .reads import record_reads, unread_settings

TASK = "ratings"
ANY = "popularity"
SMALL = ["dataset.source.n_users=150", "dataset.source.n_items=60", "dataset.source.ratings_per_user=20"]

SMALL_TENSORS = 4000  # bytes, of scalars and of indices that depend on the data


def test_rows(data: RatingData) -> RatingBatch:
    return data.test.rows(0, len(data.test))


test_rows.__test__ = False  # type: ignore[attr-defined]


def test_predicts_finite_ratings_better_than_the_mean(model: RatingModel, data: RatingData) -> None:
    """The generated ratings have a signal; every model must at least learn the means of the items."""
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


def test_every_setting_of_the_yaml_is_read(model: RatingModel, data: RatingData) -> None:
    with torch.no_grad(), record_reads(model.reads):
        model(test_rows(data))
        model.score_items(torch.tensor([0]))
    assert unread_settings(model.reads) == set()


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
    assert len(scores.unique()) > data.n_items / 4, "the ranking for unknown users has too many ties"


def test_fold_in_agrees_with_the_scores_of_training_users(model: RatingModel, data: RatingData) -> None:
    folding = require_fold_in(model)
    known = torch.arange(8)
    training = model.training_rows(data)
    if model.uses_order:
        training = training.sort_by_time()
    rows = training.rows(0, int(training.indptr[8]))
    with torch.no_grad():
        folded, trained = folding.fold_in(rows, 8).numpy(), model.score_items(known).numpy()
    assert folded.shape == (8, data.n_items)
    assert np.isfinite(folded).all()
    assert min(np.corrcoef(*pair)[0, 1] for pair in zip(folded, trained, strict=True)) > 0.9


def test_users_with_a_given_history_are_ranked_by_it(model: RatingModel, data: RatingData) -> None:
    """Also beside others, as in a split that holds out whole users with a part of their ratings as history."""
    folding, training = require_fold_in(model), data.train_and_unrated
    if isinstance(model, HistoryReader):  # has read them in training; see test_sequence.py
        assert scorer(model, SimpleNamespace(given=training)) == model.score_items
        return
    is_given = np.isin(training.user, [1, 5, 6])
    part = SimpleNamespace(train_and_unrated=training.where(~is_given), given=training.where(is_given))
    part.train = part.train_and_unrated
    users = torch.tensor([5, 0, 6, 2, 1, 5])
    order = part.given.sort_by_time() if model.uses_order else part.given
    with torch.no_grad():
        scores = scorer(model, part)(users)
        folded = folding.fold_in(order.rows(0, len(order)), 7)
        known = model.score_items(users[[1, 3]])
    torch.testing.assert_close(scores[[4, 0, 5, 2]], folded[[1, 5, 5, 6]], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scores[[1, 3]], known, rtol=1e-4, atol=1e-4)


def test_fold_in_ignores_duplicates_unknown_items_and_the_order_unless_it_counts(
    model: RatingModel, data: RatingData
) -> None:
    folding = require_fold_in(model)
    plain = RatingBatch(torch.tensor([0, 0, 2]), torch.tensor([5, 9, 30]), torch.tensor([9.0, 7.0, float("nan")]))
    again = RatingBatch(
        torch.tensor([2, 0, 0, 1, 0]), torch.tensor([30, 9, 9, -1, 5]), torch.tensor([float("nan"), 2.0, 7.0, 8.0, 9.0])
    )
    if model.uses_order:
        again = RatingBatch(*(column[torch.tensor([1, 0, 4, 3, 2])] for column in again))
    alone = RatingBatch(*(column[:2] for column in plain))
    with torch.no_grad():
        scores, scores_again, scores_alone = (
            folding.fold_in(plain, 3),
            folding.fold_in(again, 3),
            folding.fold_in(alone, 1),
        )
        unknown = model.score_items(torch.tensor([-1]))
    torch.testing.assert_close(scores, scores_again)
    torch.testing.assert_close(scores[:1], scores_alone)
    torch.testing.assert_close(scores[1:2], unknown)


def test_a_dislike_lowers_what_a_like_of_the_same_title_raises(model: RatingModel) -> None:
    """The scores are relative to the mean over all titles, since a generous rater's are higher for all."""
    folding = require_fold_in(model)

    def scores(*last: float) -> torch.Tensor:
        item, rating = torch.tensor([7, 21, 40, 5][: 3 + len(last)]), torch.tensor([8.0, 7.0, 8.0, *last])
        with torch.no_grad():
            (score_i,) = folding.fold_in(RatingBatch(torch.zeros_like(item), item, rating), 1)
        return score_i - score_i.mean()

    plain, liked, disliked = scores(), scores(10.0), scores(1.0)
    raised_by = (liked - plain).topk(5)
    if raised_by.values.mean() < 1e-4 * plain.std():
        pytest.skip("the list does not depend on what the user likes")
    assert disliked[raised_by.indices].mean() < liked[raised_by.indices].mean()
    assert disliked[raised_by.indices].mean() < plain[raised_by.indices].mean()


def test_the_cost_is_known_from_counts_alone(name: str, composed: Callable[[str], Any]) -> None:
    """Without a trainer, and without a change of the model or of the random numbers of its training."""
    model = instantiate(composed(name).model, _convert_="all")
    before = torch.get_rng_state()
    few, many = Counts(10_000, n_users=1000, n_items=500), Counts(20_000_000, n_users=300_000, n_items=20_000)
    small, large = model.cost(few), model.cost(many)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.is_allocated
    assert small.memory >= small.checkpoint > 0 or name == "popularity"
    assert large.memory > 3 * small.memory
    assert large.operations > 100 * small.operations
    assert 0 < model.seconds(few) < model.seconds(many)


def test_the_size_of_the_checkpoint_is_as_estimated(model: RatingModel, data: RatingData, folder: Path) -> None:
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    size = size_of_tensors(checkpoint["state_dict"]) + size_of_tensors(checkpoint["optimizer_states"])
    counts = Counts(len(model.training_rows(data)), n_users=data.n_users, n_items=data.n_items)
    assert size / 1.2 - SMALL_TENSORS < model.cost(counts).checkpoint < 1.5 * size + SMALL_TENSORS


def size_of_tensors(content: Any) -> int:
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    return sum(map(size_of_tensors, parts))


def require_fold_in(model: RatingModel) -> SupportsFoldIn:
    if not isinstance(model, SupportsFoldIn):
        pytest.skip(f"{type(model).__name__} has no fold-in")
    return model


def test_a_checkpoint_restores_the_model_without_running_code(
    loaded: RatingModel, model: RatingModel, data: RatingData
) -> None:
    rows, users = test_rows(data), torch.tensor([0, 5, 7])
    with torch.no_grad():
        torch.testing.assert_close(loaded(rows), model(rows), rtol=0, atol=0)
        torch.testing.assert_close(loaded.score_items(users), model.score_items(users), rtol=0, atol=0)


def test_a_damaged_checkpoint_is_not_loaded(
    name: str, model: RatingModel, folder: Path, composed: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code reads what the tensors refer to, without any check of its own."""
    content, config = torch.load(folder / "last.ckpt", weights_only=True), composed(name).model

    def is_loaded(key: str, damaged: torch.Tensor) -> bool:
        changed = {**content, "state_dict": {**content["state_dict"], key: damaged}}
        monkeypatch.setattr("anirec.models.checkpoint.read_checkpoint", lambda _: changed)
        try:
            restore(instantiate(config, _convert_="all"), folder / "last.ckpt")
        except UserError as error:
            return "not loaded" not in str(error)
        return True

    tensors = content["state_dict"].items()
    assert not [key for key, tensor in tensors for damaged in damages(key, tensor) if is_loaded(key, damaged)]


def damages(key: str, tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return tensors that a model cannot have saved: of another length, not finite, and with impossible indices."""
    if not tensor.numel():
        return []
    if tensor.is_floating_point():
        broken = [torch.full_like(tensor, torch.inf if key.endswith("rating") else torch.nan)]  # NaN: unrated
    else:
        broken = [torch.full_like(tensor, value) for value in (-1, 2**31 - 1)] if tensor.dim() else []
    return [*broken, *([tensor[:-1], torch.cat([tensor, tensor[-1:]])] if tensor.dim() else [])]


def test_a_run_folder_of_the_model_is_loaded_without_further_trust(name: str, composed: Callable[[str], Any]) -> None:
    check_trusted(OmegaConf.to_container(composed(name).model, resolve=True))


def test_the_same_seed_gives_the_same_model(
    name: str, model: RatingModel, data: RatingData, tmp_path: Path, trained: Callable[..., RatingModel]
) -> None:
    """Any other seed does, too, if the model declares that it uses none."""
    again = trained(name, data, tmp_path, seed=1 if model.uses_seed else 2)
    rows = test_rows(data)
    with torch.no_grad():
        torch.testing.assert_close(again(rows), model(rows), rtol=0, atol=0)


# One YAML of each class of models that can be blended, which are those that train without gradients.
BLENDABLE = [
    *(
        "als",
        "bias",
        "blend",
        "content_ridge",
        "ease",
        "genre_popularity",
        "implicit_als",
        "item_knn",
        "low_rank_ease",
        "popularity",
        "rp3beta",
    ),
    *("cease", "slim", "stack", "surprise_svd", "svd", "svdpp", "transitions", "two_stage"),
]


class PartlyRated(DemoRatings):
    """Demo ratings of which every third is null."""

    version = DemoRatings.version + 1000

    def interactions(self) -> pl.LazyFrame:
        is_rated = (pl.col("user_id") + pl.col("item_id")) % 3 != 0
        return super().interactions().with_columns(rating=pl.when(is_rated).then("rating"))


@pytest.fixture(scope="module")
def partly_rated(cache: Path) -> RatingData:
    data = RatingData(
        source=PartlyRated(n_users=60, n_items=40, ratings_per_user=15, rank=2, noise=1.0, seed=0),
        joined=None,
        min_user_ratings=1,
        min_item_ratings=1,
        statuses=None,
        unrated="keep",
        split=Random(test=0.2, val=0, seed=0),
        cache=str(cache),
    )
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def fresh(composed: Callable[..., Any]) -> Callable[[str], tuple[Any, int]]:
    """Return `fresh(name)`, which creates an untrained model and returns it with its number of epochs, at most 3."""
    configs = {}

    def make(name: str) -> tuple[Any, int]:
        if name not in configs:
            configs[name] = composed(name)
            for node in (configs[name].model, *configs[name].model.get("models", {}).values()):
                OmegaConf.update(node, "epochs", 3) if "epochs" in node else None
        return instantiate(configs[name].model, _convert_="all"), configs[name].model.get("epochs", 1)

    return make


def train_on_cpu(model: Any, data: RatingData, epochs: int) -> Any:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    seed_everything(1, verbose=False)
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, enable_model_summary=False, **quiet)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data)
    return model.eval()


@pytest.fixture(scope="module")
def alone(fresh: Callable[..., Any], partly_rated: RatingData) -> Callable[[str], Any]:
    """Return `alone(name)`, which trains a model by itself; cached."""

    @cache_of_calls
    def train(name: str) -> Any:
        model, epochs = fresh(name)
        return train_on_cpu(model, partly_rated, epochs)

    return train


# All together, and pairs that train on different rows or for different numbers of epochs.
PAIRS = ["popularity bias", "svd ease", "transitions als", "blend item_knn", "svdpp transitions"]


@pytest.mark.parametrize("names", [BLENDABLE, *map(str.split, PAIRS)], ids=" ".join)
def test_a_model_in_a_blend_equals_the_model_trained_alone(
    names: list[str],
    fresh: Callable[..., Any],
    alone: Callable[..., Any],
    partly_rated: RatingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RatingModel, "block_rows", 200)  # several batches; more if unrated rows are used, too
    made = {name: fresh(name) for name in names}
    weights = dict.fromkeys(names, 0.0) | {names[0]: 1.0}
    models, epochs = {name: model for name, (model, _) in made.items()}, max(n for _, n in made.values())
    blend = train_on_cpu(Blend(models=models, weights=weights, epochs=epochs), partly_rated, epochs)
    rows, users = test_rows(partly_rated), torch.arange(-1, 5)
    with torch.no_grad():
        for name, part in blend.models.items():
            torch.testing.assert_close(part(rows), alone(name)(rows), rtol=0, atol=0)
            torch.testing.assert_close(part.score_items(users), alone(name).score_items(users), rtol=0, atol=0)
        torch.testing.assert_close(blend(rows), alone(names[0])(rows))
    assert isinstance(blend, SupportsFoldIn) == all(isinstance(alone(name), SupportsFoldIn) for name in names)


def test_every_model_trained_without_gradients_is_in_blendable(
    name: str, model: RatingModel, fresh: Callable[..., Any]
) -> None:
    tried = {type(fresh(blendable)[0]) for blendable in BLENDABLE}
    assert isinstance(model, ManualOptimization) == (type(model) in tried), f"{name}: add it to BLENDABLE"
