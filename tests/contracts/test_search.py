"""Every model that ranks for lists has a search space, and every space names settings of its model."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anirec.config.compose import conf_folder

from .conftest import DEFAULT_TASK, task_of

MODELS = sorted((conf_folder() / "model").glob("*.yaml"))
SPACES = sorted(path for path in (conf_folder() / "search").glob("*.yaml") if path.stem != "optuna")
FIXED = ("damping",)  # settings of the bias model, which predicts ratings


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides))


def is_variant(path: Path) -> bool:
    """Return whether a YAML only changes settings of another model's YAML, as published variants do."""
    first = (yaml.safe_load(path.read_text()).get("defaults") or [""])[0]
    return isinstance(first, str) and (path.parent / f"{first}.yaml").exists() and "_target_" not in path.read_text()


def numbers(node: DictConfig, path: str = "") -> list[str]:
    """Return the paths of all numbers of a config that are no switches."""
    found = []
    for key, value in node.items():
        if isinstance(value, DictConfig):
            found += numbers(value, f"{path}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(f"{path}{key}")
    return found


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_list_model_with_settings_has_a_search_space(path: Path) -> None:
    if task_of(path.read_text()) != DEFAULT_TASK or is_variant(path):
        return
    config = composed(f"model={path.stem}").model
    model = instantiate(config, _convert_="all")
    is_combination = "models" in config
    makes_lists = (not model.ranks_by_rating or "objective" in config) and not is_combination
    if makes_lists and any(not name.startswith(FIXED) for name in numbers(config)):
        assert path.stem in {space.stem for space in SPACES}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_names_settings_of_the_config(path: Path) -> None:
    config = composed(f"model={path.stem}")
    space = yaml.safe_load(path.read_text())
    while "hydra" not in space:
        space = yaml.safe_load((path.parent / f"{space['defaults'][0]}.yaml").read_text())
    missing = [
        key for key in space["hydra"]["sweeper"]["params"] if OmegaConf.select(config, key, default=None) is None
    ]
    assert not missing
