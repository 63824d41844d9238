"""Composed configs: where the YAML lies, which choices there are, what a config comes down to."""

import difflib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import platformdirs
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from anirec.metrics.names import objectives

# conf/hydra/launcher/ray.yaml fills in the plugin's choice of that name, on purpose.
warnings.filterwarnings("ignore", "(?s).*hydra/launcher/ray' is validated against ConfigStore schema")
OmegaConf.register_new_resolver("user_cache", lambda: platformdirs.user_cache_dir("anirec"), replace=True)
OmegaConf.register_new_resolver("process_id", os.getpid, replace=True)
OmegaConf.register_new_resolver("first", lambda objective: next(iter(objectives(objective)), None), replace=True)


def conf_folder() -> Path:
    """The folder of YAML files: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parents[1] / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "conf"


def default_paths() -> dict[str, Path]:
    """The folders `data`, `cache` and `outputs` of this user, as conf/config.yaml and the environment set them."""
    return {name: Path(path) for name, path in to_dict(OmegaConf.load(conf_folder() / "config.yaml").paths).items()}


def with_placeholders(config: DictConfig) -> DictConfig:
    """A copy with something in the places that the start of a run fills in."""
    return OmegaConf.merge(config, {"run": {"folder": "run", "name": "run"}})  # type: ignore[return-value]


def to_dict(config: Any, *, resolve: bool = True) -> dict[str, Any]:
    """The config as dictionaries and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve))


def options(group: str) -> list[str]:
    """The choices of a config group, the user's own included; empty if there is no such group."""
    loader = GlobalHydra.instance().config_loader()
    parent, _, leaf = group.rpartition("/")
    return sorted(loader.get_group_options(group)) if leaf in loader.list_groups(parent) else []


def pin(config: DictConfig, key: str, value: object) -> None:
    """Set a key of Hydra's in a multirun's config and in that of each of its jobs, which is composed anew elsewhere."""
    quoted = str(value).replace("'", "\\'")
    with open_dict(config):
        OmegaConf.update(config, key, str(value), force_add=True)
    config.hydra.overrides.hydra.append(f"++{key}='{quoted}'")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "."


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
