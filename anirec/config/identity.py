"""What makes two runs the same experiment. Everybody who asks that asks here.

Two runs are the same *experiment* if model, training, evaluation, the content of every source, filters and split are
equal. They are *replicates* of it if they differ in nothing but a seed or a fold: `seed`, and what the classes of the
model and the split declare as `replicates`. Runs that agree in that, too, are the same *run*, made twice.

Folders, loggers, launchers, devices and the number of threads are no part of it. A source counts by the fingerprint of
its content, so equal files in two places are one dataset, and a file that was replaced makes another one.

`provenance.json` keeps it:

    {"run": "ab12cd34", "experiment": "9f0c36d1a2b7e845", "replicate": {"seed": 42.0, "split.seed": 42.0},
     "settings": {"model.n_factors": 80.0, "dataset.source": "mal_2016-0f3a9c1d2e4b5a68", …}}
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERSION = 1  # grows when other things count
SOURCE = "anirec.data.sources.base.Source"
# Sections of a config that change no result. `select` only withholds the test set.
INCIDENTAL = frozenset({"run", "paths", "resume", "tags", "logger", "search", "sweep", "select", "seed"})
DEVICES = tuple(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy"))
# What the trainer writes and prints.
OUTPUT = tuple(
    f"trainer.{key}"
    for key in (
        *("default_root_dir", "logger", "log_every_n_steps"),
        *("enable_checkpointing", "enable_model_summary", "enable_progress_bar"),
    )
)


@dataclass(frozen=True)
class Identity:
    """An experiment, and which of its replicates.

    Attributes:
        settings: What decides the results, by dotted key; sources as `<name>-<fingerprint>`.
        replicate: Seeds and folds, by dotted key.
    """

    settings: Mapping[str, Any]
    replicate: Mapping[str, Any]

    @cached_property
    def experiment(self) -> str:
        """16 hex digits, the same for replicates."""
        return sha256_of(VERSION, self.settings)[:16]

    @cached_property
    def run(self) -> str:
        """8 hex digits, the same for a run that is made again."""
        return sha256_of(self.experiment, self.replicate)[:8]

    def record(self) -> dict[str, Any]:
        """Plain values, for provenance."""
        return {
            "run": self.run,
            "experiment": self.experiment,
            "replicate": dict(self.replicate),
            "settings": dict(self.settings),
        }


def identity_of(config: "DictConfig") -> Identity:
    """The identity of a composed config. Reads the files of its sources, unless they were read before.

    Raises:
        UserError: Files of a source are missing.
    """
    from anirec.config.compose import to_dict, with_placeholders

    content = to_dict(with_placeholders(config))
    return identify(content, source_fingerprints(content), replicate_keys(content))


def identify(config: Mapping[str, Any], sources: Mapping[str, str], replicates: Iterable[str]) -> Identity:
    """The identity of a resolved config.

    Args:
        config: Plain values.
        sources: Fingerprints that stand for the nodes at these dotted keys.
        replicates: Dotted keys of seeds and folds.

    >>> config = {"seed": 1, "model": {"n_factors": 20}, "split": {"fold": 0}, "paths": {"data": "/data"}}
    >>> identify(config, {}, ["seed", "split.fold"])
    Identity(settings={'model.n_factors': 20.0}, replicate={'seed': 1.0, 'split.fold': 0.0})
    """
    varying = set(replicates)
    values = {key: as_number(value) for key, value in flatten(with_path_variables(config), stops=sources)}
    callbacks = config.get("callbacks") or {}
    watching = [f"callbacks.{name}" for name, node in callbacks.items() if only_watches(node)]
    settings = {
        key: sources.get(key, value)
        for key, value in values.items()
        if key not in varying
        and value != {}
        and key.partition(".")[0] not in INCIDENTAL
        and not any(is_within(key, part) for part in (*DEVICES, *OUTPUT, *watching))
    }
    return Identity(settings, {key: values[key] for key in sorted(varying) if key in values})


def source_fingerprints(config: Mapping[str, Any]) -> dict[str, str]:
    """`<name>-<fingerprint>` of every source that the dataset reads, joined ones included, by dotted key."""
    from hydra.utils import instantiate

    from anirec.config.definitions import inherits
    from anirec.data.prepare.fingerprint import fingerprint

    found = {}
    for key, node in config_nodes(config["dataset"], "dataset"):
        if isinstance(target := node.get("_target_"), str) and inherits(target, SOURCE):
            source = instantiate(node, _convert_="all")
            found[key] = f"{source.name}-{fingerprint(source, Path(config['paths']['cache']))[:16]}"
    return found


def replicate_keys(config: Mapping[str, Any]) -> list[str]:
    """Dotted keys of what replicates of an experiment differ in: the run's seed, and what model and split declare."""
    from anirec.config.signatures import attribute

    found = ["seed"]
    for part in ("model", "split"):
        leaves = attribute(config[part]["_target_"], "replicates") or frozenset()
        found += [key for key, _ in flatten(config[part], part) if key.rpartition(".")[2] in leaves]
    return found


def only_watches(callback: Any) -> bool:
    """Whether a callback's class declares that it changes no result."""
    from anirec.config.signatures import attribute

    target = callback.get("_target_") if isinstance(callback, dict) else None
    return bool(target and attribute(target, "only_watches"))


def with_path_variables(config: Mapping[str, Any]) -> Any:
    """The config with the run's folder and the paths in the place of what lies below them.

    >>> with_path_variables({"paths": {"data": "/data"}, "model": {"weights": "/data/w.pt"}})["model"]
    {'weights': '${paths.data}/w.pt'}
    """
    places = {"run.folder": (config.get("run") or {}).get("folder")}
    places |= {f"paths.{name}": path for name, path in (config.get("paths") or {}).items()}
    known = {name: path for name, path in places.items() if isinstance(path, str) and path}
    for name, path in sorted(known.items(), key=lambda item: -len(item[1])):
        config = replace_folder(config, path, f"${{{name}}}")
    return config


def replace_folder(node: Any, old: str, new: str) -> Any:
    """Paths in or below the folder `old`, put into `new`.

    >>> replace_folder({"folder": "/data/mal-2016", "column": "/database"}, "/data", "${paths.data}")
    {'folder': '${paths.data}/mal-2016', 'column': '/database'}
    """
    if isinstance(node, dict):
        return {key: replace_folder(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [replace_folder(value, old, new) for value in node]
    root = old.rstrip("/")
    if isinstance(node, str) and (node.startswith(f"{root}/") or (node == root and root.startswith("/"))):
        return new + node[len(root) :]
    return node


def flatten(config: Any, prefix: str = "", *, stops: Iterable[str] = ()) -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys; those at the keys `stops` stay whole.

    >>> dict(flatten({"model": {"_target_": "SVD", "lr": 0.005}, "objective": "val/rmse"}))
    {'model._target_': 'SVD', 'model.lr': 0.005, 'objective': 'val/rmse'}
    """
    if not isinstance(config, dict) or not config or prefix in stops:
        yield prefix, config
        return
    for key, value in config.items():
        yield from flatten(value, f"{prefix}.{key}" if prefix else str(key), stops=stops)


def config_nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping in a config, with its dotted key."""
    if isinstance(node, dict):
        if path:
            yield path, node
        for key, value in node.items():
            yield from config_nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from config_nodes(value, f"{path}[{index}]")


def is_within(key: str, part: str) -> bool:
    return f"{key}.".startswith(f"{part}.")


def as_number(value: Any) -> Any:
    """100 and 100.0 are one setting, whichever was typed."""
    return float(value) if type(value) is int else value


def sha256_of(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=dict).encode()).hexdigest()
