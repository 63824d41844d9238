"""Composed configs: the folder of YAML files, the choices of a group, and conversion to plain values."""

import difflib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import platformdirs
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from anirec.metrics.names import objectives

# Hydra warns that these YAML files have the names of its plugins' own configs: they are meant to extend them.
warnings.filterwarnings("ignore", "(?s).*hydra/(launcher/ray|sweeper/basic)' is validated against ConfigStore schema")
OmegaConf.register_new_resolver("user_cache", lambda: platformdirs.user_cache_dir("anirec"), replace=True)
OmegaConf.register_new_resolver("process_id", os.getpid, replace=True)
OmegaConf.register_new_resolver("first", lambda objective: next(iter(objectives(objective)), None), replace=True)


def conf_folder() -> Path:
    """Return the folder of YAML files: inside an installed package, next to it in a checkout."""
    inside = Path(__file__).parents[1] / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "conf"


def with_folder(config_dir: str | None) -> list[str]:
    """Return the override with which Hydra also finds the YAML files of a folder of the user's."""
    return [f"hydra.searchpath=['file://{Path(config_dir).resolve()}']"] if config_dir else []


def make_importable(config_dir: str | None) -> None:
    """Let the YAML files of a folder of the user's name modules in this folder, also in processes that are started."""
    if config_dir:
        folder = str(Path(config_dir).absolute())
        sys.path.append(folder)
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([others, folder] if others else [folder])


def default_paths() -> dict[str, Path]:
    """Return the folders `data`, `cache` and `outputs`, as conf/config.yaml and the environment set them."""
    return {name: Path(path) for name, path in to_dict(OmegaConf.load(conf_folder() / "config.yaml").paths).items()}


def with_placeholders(config: DictConfig) -> DictConfig:
    """Return a copy with placeholders for the values that are set when a run starts."""
    return OmegaConf.merge(config, {"run": {"folder": "run", "name": "run"}})  # type: ignore[return-value]


def to_dict(config: Any, *, resolve: bool = True) -> dict[str, Any]:
    """Convert a config into dictionaries and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve))


def read_choice(group: str, name: str) -> dict[str, Any]:
    """Return the content of a choice's YAML file, merged with the files that it extends or includes.

    Hydra composes a whole config, which takes a hundred times as long. Interpolations are not resolved.

    >>> read_choice("model", "svdpp")["_target_"], sorted(read_choice("model", "blend")["models"])
    ('anirec.models.ratings.svdpp.SVDpp', ['factors', 'neighbours'])
    """
    own = to_dict(OmegaConf.load(conf_folder() / group / f"{name}.yaml"), resolve=False)
    parts: list[dict[str, Any]] = []
    for entry in own.pop("defaults", []):
        if isinstance(entry, dict):
            (key, choice) = next(iter(entry.items()))
            other, _, package = key.removeprefix("/").partition("@")
            if key.startswith("/") and choice is not None:  # else it overrides a choice of another group
                node: Any = read_choice(other, choice)
                for part in reversed((package or other).split(".")):
                    node = {part: node}
                parts.append(node)
        elif entry != "_self_":
            parts.append(read_choice(group, entry))
    return to_dict(OmegaConf.merge(*parts, own), resolve=False)


def options(group: str) -> list[str]:
    """Return the choices of a config group, including the user's own; empty if there is no such group."""
    loader = GlobalHydra.instance().config_loader()
    parent, _, leaf = group.rpartition("/")
    return sorted(loader.get_group_options(group)) if leaf in loader.list_groups(parent) else []


def pin(config: DictConfig, key: str, value: object) -> None:
    """Set a Hydra key in the config of a multirun and in those of its jobs, which other processes may compose again."""
    quoted = str(value).replace("'", "\\'")
    with open_dict(config):
        OmegaConf.update(config, key, str(value), force_add=True)
    config.hydra.overrides.hydra.append(f"++{key}='{quoted}'")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return the end of a sentence that suggests the closest name, or "." if none is close.

    >>> did_you_mean("popularty", ["popularity", "ease"])
    '; did you mean popularity?'
    """
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "."


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
