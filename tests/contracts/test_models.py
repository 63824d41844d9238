"""Promises of every model in conf/model, whoever wrote it: the test of a new model is its YAML."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Trainer, seed_everything

from anirec.composition import conf_folder
from anirec.data.datamodule import RatingData
from anirec.data.interactions import RatingBatch
from anirec.models.base import RatingModel
from anirec.tracking.callbacks import LastAndBest

MODELS = sorted(path.stem for path in (conf_folder() / "model").glob("*.yaml"))
SMALL = ["dataset.source.n_users=150", "dataset.source.n_items=60", "dataset.source.ratings_per_user=20"]


def composed(model: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", [f"model={model}", *SMALL, *overrides])


@pytest.fixture(scope="module")
def data(cache: Path) -> RatingData:
    config = composed("popularity", f"paths.cache={cache}")
    data = instantiate(config.dataset, split=config.split, cache=str(cache), _convert_="all")
    data.setup("fit")
    return data


def trained(name: str, data: RatingData, folder: Path, seed: int = 1) -> RatingModel:
    config = composed(name)
    seed_everything(seed, verbose=False)
    model = instantiate(config.model, _convert_="all")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=OmegaConf.select(config, "model.epochs", default=1),
        logger=False,
        callbacks=[LastAndBest(folder=str(folder), objective=None)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, datamodule=data)
    return model.eval()


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(name)


@pytest.fixture(scope="module")
def model(name: str, data: RatingData, folder: Path) -> RatingModel:
    return trained(name, data, folder)


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


def test_a_checkpoint_is_the_model_and_runs_no_code(
    name: str, model: RatingModel, data: RatingData, folder: Path
) -> None:
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    loaded = instantiate(composed(name).model, _convert_="all")
    loaded.on_load_checkpoint(checkpoint)
    loaded.load_state_dict(checkpoint["state_dict"])
    loaded.eval()
    rows, users = test_rows(data), torch.tensor([0, 5, 7])
    with torch.no_grad():
        torch.testing.assert_close(loaded(rows), model(rows), rtol=0, atol=0)
        torch.testing.assert_close(loaded.score_items(users), model.score_items(users), rtol=0, atol=0)


def test_the_same_seed_gives_the_same_model(name: str, model: RatingModel, data: RatingData, tmp_path: Path) -> None:
    again = trained(name, data, tmp_path)
    rows = test_rows(data)
    with torch.no_grad():
        torch.testing.assert_close(again(rows), model(rows), rtol=0, atol=0)


def test_yaml_opens_with_purpose_and_command(name: str) -> None:
    first, *rest = (conf_folder() / "model" / f"{name}.yaml").read_text().splitlines()
    assert first.startswith("# ")
    assert len(first) > 20
    assert any(line.startswith("#   anirec run") and f"model={name}" in line for line in rest)
