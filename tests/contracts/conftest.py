"""Fixtures of the contract tests: for every model YAML of a task, its config, data, and trained and loaded model."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anirec.config.compose import conf_folder
from anirec.lightning import LightningDataModule, Trainer, seed_everything
from anirec.tracking.callbacks import LastAndBest

from .reads import record_reads

Composed = Callable[..., Any]
Trained = Callable[..., Any]
TASK = re.compile(r"override /task@_global_: (\w+)")
DEFAULT_TASK = "ratings"  # of a YAML that does not override it


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests by every model YAML of the task of their module."""
    if "name" in metafunc.fixturenames:
        paths = sorted((conf_folder() / "model").glob("*.yaml"))
        wanted = [path.stem for path in paths if task_of(path.read_text()) == metafunc.module.TASK]
        metafunc.parametrize("name", wanted, scope="module")


def task_of(text: str) -> str:
    overridden = TASK.search(text)
    return overridden[1] if overridden else DEFAULT_TASK


@pytest.fixture(scope="module")
def composed(request: pytest.FixtureRequest) -> Composed:
    """Return a function that composes a model with the module's `SMALL` dataset and, where the keys exist, `SHRUNK`."""

    def compose_model(name: str) -> Any:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = compose("config", [f"model={name}", *request.module.SMALL])
        if "training" in config.model:
            config.model.training.epochs = 2
        for key, value in getattr(request.module, "SHRUNK", {}).items():
            if OmegaConf.select(config, key) is not None:
                OmegaConf.update(config, key, value)
        return config

    return compose_model


@pytest.fixture(scope="module")
def trained(composed: Composed) -> Trained:
    def train(name: str, data: LightningDataModule, folder: Path, seed: int = 1) -> Any:
        config = composed(name)
        seed_everything(seed, verbose=False)
        model = instantiate(config.model, _convert_="all")
        if lacking := columns_lacking(model, data):
            pytest.skip(f"{name} requires {', '.join(lacking)}, which generated titles lack")
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=OmegaConf.select(config, "trainer.max_epochs"),
            logger=False,
            callbacks=[LastAndBest(folder=str(folder), objective=None)],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        model.reads = {}
        with record_reads(model.reads):
            trainer.fit(model, datamodule=data)
        return model.eval()

    return train


def columns_lacking(model: Any, data: Any) -> list[str]:
    """Return the columns of titles that the branches of a rating model require and the data lack."""
    items = getattr(data, "items", None)
    branches = getattr(model, "branches", {}).values()
    return [] if items is None else sorted({c for branch in branches for c in branch.requires} - set(items.columns))


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(name)


@pytest.fixture(scope="module")
def data(composed: Composed, cache: Path, request: pytest.FixtureRequest) -> Any:
    config = composed(request.module.ANY)
    data = instantiate(config.dataset, split=config.split, cache=str(cache), _convert_="all")
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def model(name: str, data: Any, folder: Path, trained: Trained) -> Any:
    return trained(name, data, folder)


@pytest.fixture
def loaded(name: str, folder: Path, model: Any, composed: Composed) -> Any:
    """Return the model, restored from its config and checkpoint alone, whose tensors pass all checks."""
    from anirec.models.checkpoint import restore

    again = instantiate(composed(name).model, _convert_="all")
    restore(again, folder / "last.ckpt")
    return again.eval()
