"""Identity of a run: which runs are the same experiment, replicates of one, or the same run.

Two runs are the same *experiment* if model, training, evaluation, content of the sources, filters and split are equal.
They are *replicates* if they differ only in seeds or folds: the key `seed`, unless the model has no randomness, and the
keys that the classes of the model and the split declare as `replicates`. With equal seeds and folds they are the same
*run*.

Folders, loggers, launchers, devices and the number of threads do not count. A source counts by the fingerprint of its
content: equal files in two folders are one dataset, and replacing a file makes another dataset.

The identity is stored in `provenance.json`:

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

VERSION = 2  # increase it when the rules below change
SOURCE = "anirec.data.sources.base.Source"
# Top-level keys that do not change results (`select` only withholds the test set), and `seed`, a replicate key.
INCIDENTAL = frozenset({"run", "paths", "resume", "tags", "logger", "search", "sweep", "select", "checkpoints", "seed"})
DEVICES = tuple(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy"))
# Settings of the evaluation that change the meaning of its metrics; its others only select what is computed.
PROTOCOL = frozenset(f"metrics.{key}" for key in ("relevant_from", "max_users", "candidates", "interval"))
# Settings of what a run writes, prints and ranks during training, and of whether it stops.
OUTPUT = (
    "metrics.rank_every",
    "dataset.checks",
    *("trainer.threads", "trainer.default_root_dir", "trainer.logger", "trainer.log_every_n_steps"),
    *("trainer.enable_checkpointing", "trainer.enable_model_summary", "trainer.enable_progress_bar"),
)


@dataclass(frozen=True)
class Identity:
    """An experiment, and one of its replicates.

    Attributes:
        settings: Settings that determine the results, by dotted key; a source is `<name>-<fingerprint>`.
        replicate: Seeds and folds, by dotted key.
    """

    settings: Mapping[str, Any]
    replicate: Mapping[str, Any]

    @cached_property
    def experiment(self) -> str:
        """Id of the experiment: 16 hex digits, equal for its replicates."""
        return sha256_of(VERSION, self.settings)[:16]

    @cached_property
    def run(self) -> str:
        """Id of the run: 8 hex digits, equal if the run is repeated."""
        return sha256_of(self.experiment, self.replicate)[:8]

    def record(self) -> dict[str, Any]:
        """Return the identity as plain values, for provenance."""
        return {
            "run": self.run,
            "experiment": self.experiment,
            "replicate": dict(self.replicate),
            "settings": dict(self.settings),
        }


def configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that distinguish configurations in a report: without the choice of metrics to compute.

    >>> configuration({"model.lr": 0.1, "metrics.names": ["rmse"], "metrics.candidates": "cold"})
    {'model.lr': 0.1, 'metrics.candidates': 'cold'}
    """
    is_own = str(settings.get("metrics._target_", "anirec.")).startswith("anirec.")
    return {
        key: value for key, value in settings.items() if not (is_own and key.startswith("metrics.")) or key in PROTOCOL
    }


def identity_of(config: "DictConfig") -> Identity:
    """Return the identity of a composed config. Reads the files of its sources if they are not in the cache.

    Raises:
        UserError: Files of a source are missing.
    """
    from anirec.config.compose import to_dict, with_placeholders
    from anirec.metrics.names import objectives

    content = to_dict(with_placeholders(config))
    if names := objectives(content["objective"]):  # rmse, val/rmse and [val/rmse] are one
        content["objective"] = names[0] if len(names) == 1 else names
    content["model"] = with_versions(content["model"])
    return identify(content, source_fingerprints(content), replicate_keys(content), hardware_keys(content))


def identify(
    config: Mapping[str, Any],
    sources: Mapping[str, str],
    replicates: Iterable[str],
    hardware: Iterable[str] = DEVICES,
) -> Identity:
    """Return the identity of a resolved config.

    Args:
        config: Plain values.
        sources: Fingerprints that replace the nodes of the sources, by dotted key.
        replicates: Dotted keys of seeds and folds.
        hardware: Dotted keys of devices that do not change results.

    >>> config = {"seed": 1, "model": {"n_factors": 20}, "split": {"fold": 0}, "paths": {"data": "/data"}}
    >>> identify(config, {}, ["seed", "split.fold"])
    Identity(settings={'model.n_factors': 20.0}, replicate={'seed': 1.0, 'split.fold': 0.0})
    """
    varying = set(replicates)
    values = {key: as_number(value) for key, value in flatten(with_path_variables(config), stops=sources)}
    if isinstance(names := values.get("metrics.names"), list):
        values["metrics.names"] = sorted(names, key=str)  # their order changes no result
    callbacks = config.get("callbacks") or {}
    watching = [f"callbacks.{name}" for name, node in callbacks.items() if only_watches(node)]
    settings = {
        key: sources.get(key, value)
        for key, value in values.items()
        if key not in varying
        and value != {}
        and key.partition(".")[0] not in INCIDENTAL
        and not any(is_within(key, part) for part in (*hardware, *OUTPUT, *watching))
        and not (key in ("trainer.deterministic", "warm_start") and not value)  # null and false are one
    }
    replicate = {key: values[key] for key in sorted(varying) if key in values}
    if "warm_start" in settings:  # updates of several runs of an experiment are one experiment
        replicate["warm_start"], settings["warm_start"] = settings["warm_start"], True
    return Identity(settings, replicate)


def hardware_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of devices that do not change results: their number does, unless the model declares otherwise.

    Each process of a network takes batches of the full size, so more processes take larger steps.
    """
    from anirec.config.signatures import attribute

    same = attribute(config["model"]["_target_"], "same_on_any_devices")
    return [key for key in DEVICES if same or key not in ("trainer.devices", "trainer.num_nodes")]


def source_fingerprints(config: Mapping[str, Any]) -> dict[str, str]:
    """Return `<name>-<fingerprint>` of every source that the dataset reads, including joined ones, by dotted key."""
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
    """Return the dotted keys in which replicates differ: `seed`, and those that model and split declare.

    A model without randomness has no replicates by seed: runs with different seeds are the same run.
    """
    from anirec.config.signatures import attribute

    found = ["seed"] if depends_on_seed(config) else []
    for part in ("model", "split"):
        leaves = attribute(config[part]["_target_"], "replicates") or frozenset()
        found += [key for key, _ in flatten(config[part], part) if key.rpartition(".")[2] in leaves]
    return found


def with_versions(node: Any) -> Any:
    """Add the key `version` to each model whose algorithm has changed since the first version."""
    from anirec.config.signatures import attribute

    if not isinstance(node, dict):
        return node
    target = node.get("_target_")
    version = attribute(target, "version") if isinstance(target, str) and target.startswith("anirec.models.") else None
    return {key: with_versions(value) for key, value in node.items()} | ({"version": version} if version else {})


def depends_on_seed(config: Mapping[str, Any]) -> bool:
    """Whether the seed changes the model, as all models but those that declare the opposite."""
    from anirec.config.signatures import own_attribute

    return own_attribute(config["model"]["_target_"], "uses_seed") is not False


def only_watches(callback: Any) -> bool:
    """Whether a callback's class declares that it does not change results."""
    from anirec.config.signatures import attribute

    target = callback.get("_target_") if isinstance(callback, dict) else None
    return bool(target and attribute(target, "only_watches"))


def with_path_variables(config: Mapping[str, Any]) -> Any:
    """Replace absolute paths in or below the run folder and `paths` by variables.

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
    """Replace the folder `old` by `new` in all paths of a config.

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
    """Yield the values of nested mappings by dotted key; mappings at the keys `stops` are yielded unflattened.

    >>> dict(flatten({"model": {"_target_": "SVD", "lr": 0.005}, "objective": "val/rmse"}))
    {'model._target_': 'SVD', 'model.lr': 0.005, 'objective': 'val/rmse'}
    """
    if not isinstance(config, dict) or not config or prefix in stops:
        yield prefix, config
        return
    for key, value in config.items():
        yield from flatten(value, f"{prefix}.{key}" if prefix else str(key), stops=stops)


def config_nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every mapping in a config with its dotted key."""
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
    """Convert integers to floats, so that 100 and 100.0 are one setting."""
    return float(value) if type(value) is int else value


def sha256_of(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=dict).encode()).hexdigest()
